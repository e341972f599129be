"""Notices: written, previewed, published once, read, withdrawn."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db import IntegrityError, transaction
from django.db.models import Count, Exists, OuterRef, Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from anlin.hub.audit.log import Actor, changing, created, noted
from anlin.hub.errors import RuleError
from anlin.hub.ids import random_text
from anlin.hub.notices.models import (
    OPEN,
    Audience,
    Delivery,
    Kind,
    Notice,
    NoticeRead,
    NoticeState,
    Stand,
)
from anlin.hub.notices.services import RECEIPT_CHARS, grown, saw, years_before
from anlin.hub.people.models import (
    Building,
    Community,
    Holder,
    Residency,
    ResidencyKind,
    StaffProfile,
    Unit,
    in_force,
)
from anlin.hub.permissions import buildings_of, units_in_scope

TITLE_CHARS = 60
TEXT_CHARS = 2000
MOST_HOMES = 200
"""Named one by one; more is a building."""
FARTHEST = timedelta(days=90)
LONGEST = timedelta(days=366)
ELDER_YEARS = 60
"""From this age on the law speaks of the elderly (老年人权益保障法 art. 2): call them."""
CLOCK = Actor.command("clock")
CHUNK = 500


@dataclass(frozen=True, slots=True)
class Draft:
    """What is typed into the form of a notice."""

    title: str
    text: str
    audience: Audience = Audience.ALL
    buildings: Sequence[Building] = ()
    units: Sequence[Unit] = ()
    owners_only: bool = False
    is_urgent: bool = False
    publish_at: datetime | None = None
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Missed:
    """A resident whom a notice has not reached; the telephone of the elderly, to call them."""

    holder: Holder
    homes: list[str] = field(default_factory=list)
    is_elder: bool = False
    phone: str = ""


def write(staff: StaffProfile, draft: Draft, by: Actor, *, sent_id: str) -> Notice:
    """Keep a draft; the same form sent twice is one.

    Raises:
        RuleError: a field breaks a rule, or the audience is not this member of staff's.
    """
    known = Notice.objects.filter(sent_id=sent_id, community=staff.community_id).first()
    if known is not None:
        return known
    now = timezone.now()
    _check(staff, draft, now)
    try:
        with transaction.atomic():
            notice = Notice(
                community=staff.community, made_by=by.name, made_at=now, sent_id=sent_id
            )
            _fill(notice, draft)
            notice.save(force_insert=True)
            notice.buildings.set(draft.buildings)
            notice.units.set(draft.units)
            created(by, staff.community, notice, action="write notice")
    except IntegrityError:
        return Notice.objects.get(sent_id=sent_id, community=staff.community_id)
    return notice


def edit(staff: StaffProfile, notice: Notice, draft: Draft, by: Actor) -> None:
    """Change a draft.

    Raises:
        RuleError: it is published or planned, or a field breaks a rule.
    """
    _check(staff, draft, timezone.now())
    with transaction.atomic():
        fresh = _locked(notice, (NoticeState.DRAFT,))
        with changing(by, fresh.community, fresh, "change notice"):
            _fill(fresh, draft)
        fresh.buildings.set(draft.buildings)
        fresh.units.set(draft.units)


def publish(notice: Notice, by: Actor) -> bool:
    """Publish a draft, or plan it for its time; say whether this did it. Twice does it once."""
    now = timezone.now()
    with transaction.atomic():
        fresh = Notice.objects.select_for_update().get(pk=notice.pk)
        if fresh.state != NoticeState.DRAFT:
            return False
        if fresh.expires_at is not None and fresh.expires_at <= now:
            raise RuleError(_("It would expire before anybody reads it."), "expires_at")
        if fresh.publish_at is not None and fresh.publish_at > now:
            with changing(by, fresh.community, fresh, "plan notice"):
                fresh.state, fresh.published_by = NoticeState.PLANNED, by.name
            return True
        _publish(fresh, by, now)
    return True


def publish_due(now: datetime) -> int:
    """Publish what was planned for a time that has come: how many."""
    due = Notice.objects.filter(state=NoticeState.PLANNED, publish_at__lte=now)
    done = 0
    for pk in list(due.values_list("pk", flat=True)):
        with transaction.atomic():
            fresh = Notice.objects.select_for_update().get(pk=pk)
            if fresh.state == NoticeState.PLANNED:
                _publish(fresh, CLOCK, now)
                done += 1
    return done


def withdraw(notice: Notice, by: Actor, why: str) -> bool:
    """Take a notice back; residents read that it was, and nothing more of it is sent."""
    now = timezone.now()
    with transaction.atomic():
        fresh = Notice.objects.select_for_update().get(pk=notice.pk)
        if fresh.state == NoticeState.WITHDRAWN:
            return False
        with changing(by, fresh.community, fresh, "withdraw notice"):
            fresh.state = NoticeState.WITHDRAWN
            fresh.withdrawn_by, fresh.withdrawn_at = by.name, now
            fresh.why = " ".join(why.split())[:200]
        fresh.deliveries.filter(stand__in=OPEN).update(stand=Stand.WITHDRAWN)
    return True


def recipients(notice: Notice, at: datetime) -> QuerySet[Holder]:
    """Give whom a notice goes to: who lives in these homes now, no children under 14."""
    living = Residency.objects.filter(in_force(at), unit__building__community=notice.community_id)
    if notice.audience == Audience.BUILDINGS:
        living = living.filter(unit__building__in=notice.buildings.values("pk"))
    elif notice.audience == Audience.HOMES:
        living = living.filter(unit__in=notice.units.values("pk"))
    if notice.owners_only:
        living = living.filter(kind=ResidencyKind.OWNER)
    return grown(Holder.objects.filter(pk__in=living.values("holder")), at)


def notices_for(holder: Holder, at: datetime) -> QuerySet[Notice]:
    """List the notices to a resident that hold now, and those withdrawn, the newest first."""
    mine = Residency.objects.filter(in_force(at), holder=holder)
    fits = Q(owners_only=False) & _to(mine)
    own = mine.filter(kind=ResidencyKind.OWNER)
    if own.exists():
        fits |= Q(owners_only=True) & _to(own)
    rows = Notice.objects.filter(fits, community=holder.community_id, published_at__isnull=False)
    rows = rows.filter(Q(expires_at=None) | Q(expires_at__gt=at))
    was_read = NoticeRead.objects.filter(notice=OuterRef("pk"), holder=holder)
    return rows.annotate(was_read=Exists(was_read)).distinct().order_by("-published_at", "pk")


def read(notice: Notice, holder: Holder, at: datetime) -> None:
    """Note that a resident has opened a notice; the first time counts."""
    NoticeRead.objects.bulk_create(
        [NoticeRead(notice=notice, holder=holder, at=at)], ignore_conflicts=True
    )
    saw(Delivery.objects.filter(notice=notice, holder=holder), at)


def notices_of(staff: StaffProfile) -> QuerySet[Notice]:
    """List a community's notices with how many have read each, the newest first."""
    rows = Notice.objects.filter(community=staff.community_id)
    return rows.annotate(read_by=Count("reads")).order_by("-made_at", "pk")


def counts(notice: Notice) -> dict[str, int]:
    """Count what became of a published notice."""
    by_stand = dict(notice.deliveries.order_by().values_list("stand").annotate(count=Count("pk")))
    return {
        "recipients": notice.recipients,
        "read": notice.reads.count(),
        "reached": by_stand.get(Stand.REACHED, 0),
        "open": sum(by_stand.get(stand, 0) for stand in OPEN),
        "unreached": by_stand.get(Stand.UNREACHED, 0),
    }


def missed(notice: Notice, staff: StaffProfile, at: datetime) -> list[Missed]:
    """List whom a notice has not reached, in the homes that a member of staff works for.

    The elderly come first, with the telephone.
    """
    was_read = NoticeRead.objects.filter(notice=notice, holder=OuterRef("holder"))
    rows = notice.deliveries.filter(~Exists(was_read)).exclude(stand=Stand.REACHED)
    scope = Residency.objects.filter(in_force(at), unit__in=units_in_scope(staff))
    rows = rows.filter(holder__in=scope.values("holder")).select_related("holder__identity")
    homes: dict[str, list[str]] = {}
    living = scope.filter(holder__in=rows.values("holder")).select_related("unit__building")
    for one in living.order_by("unit__building__name", "unit__code"):
        homes.setdefault(one.holder_id, []).append(f"{one.unit.building.name} {one.unit.code}")
    elder_since = years_before(timezone.localtime(at).date(), ELDER_YEARS)
    listed = []
    for row in rows:
        identity = getattr(row.holder, "identity", None)
        born_on = identity.born_on if identity is not None else None
        is_elder = born_on is not None and born_on <= elder_since
        phone = row.holder.phone if is_elder else ""
        listed.append(Missed(row.holder, homes.get(row.holder_id, []), is_elder, phone))
    return sorted(listed, key=lambda one: (not one.is_elder, one.homes, one.holder.name))


def may_write(staff: StaffProfile, notice: Notice) -> bool:
    """Say whether a notice is for homes that a member of staff works for, and for no others."""
    bound = buildings_of(staff)
    if bound is None:
        return True
    if notice.audience == Audience.BUILDINGS:
        return set(notice.buildings.values_list("pk", flat=True)) <= bound
    if notice.audience == Audience.HOMES:
        return set(notice.units.values_list("building", flat=True)) <= bound
    return False


def find_homes(staff: StaffProfile, typed: str) -> list[Unit]:
    """Find the homes that were typed, each by its number, or building and number.

    Raises:
        RuleError: naming the one that is not found, or that there are several of.
    """
    names = [name.strip() for name in re.split(r"[,;、，；\n]", typed) if name.strip()]
    if len(names) > MOST_HOMES:
        raise RuleError(
            _("At most %(count)d homes; choose buildings instead.") % {"count": MOST_HOMES}, "homes"
        )
    by_name: dict[str, list[Unit]] = {}
    for unit in units_in_scope(staff).select_related("building"):
        for name in (unit.code, f"{unit.building.name}{unit.code}"):
            by_name.setdefault(_plain(name), []).append(unit)
    found = []
    for name in names:
        fits = by_name.get(_plain(name), [])
        if not fits:
            raise RuleError(_("There is no home %(name)s.") % {"name": name[:40]}, "homes")
        if len(fits) > 1:
            raise RuleError(
                _("There are several homes %(name)s: type the building before the number.")
                % {"name": name[:40]},
                "homes",
            )
        found.append(fits[0])
    return list(dict.fromkeys(found))


def _publish(notice: Notice, by: Actor, now: datetime) -> None:
    """Publish in the transaction of the caller, who holds the notice."""
    people = list(recipients(notice, now).values_list("pk", flat=True))
    with changing(by, notice.community, notice, "publish notice"):
        notice.state, notice.published_at = NoticeState.PUBLISHED, now
        notice.published_by = notice.published_by or by.name
        notice.recipients = len(people)
    ends_at = notice.expires_at or now + timedelta(days=7)
    Delivery.objects.bulk_create(
        (
            Delivery(
                community_id=notice.community_id,
                holder_id=holder,
                key=f"notice/{notice.pk}",
                kind=Kind.NOTICE,
                notice=notice,
                title=notice.title,
                text=notice.text,
                link=f"/home/notices/{notice.pk}",
                is_urgent=notice.is_urgent,
                made_at=now,
                ends_at=ends_at,
                next_at=now,
                receipt=random_text(RECEIPT_CHARS),
            )
            for holder in people
        ),
        batch_size=CHUNK,
        ignore_conflicts=True,
    )
    noted(by, notice.community, notice, "send notice", recipients=len(people))


def _to(living: QuerySet[Residency]) -> Q:
    return (
        Q(audience=Audience.ALL)
        | Q(audience=Audience.BUILDINGS, buildings__in=living.values("unit__building"))
        | Q(audience=Audience.HOMES, units__in=living.values("unit"))
    )


def _check(staff: StaffProfile, draft: Draft, now: datetime) -> None:
    if not draft.title.strip() or len(draft.title) > TITLE_CHARS:
        raise RuleError(_("A title has 1 to %(most)d characters.") % {"most": TITLE_CHARS}, "title")
    if not draft.text.strip() or len(draft.text) > TEXT_CHARS:
        raise RuleError(_("A text has 1 to %(most)d characters.") % {"most": TEXT_CHARS}, "text")
    if draft.audience is Audience.BUILDINGS and not draft.buildings:
        raise RuleError(_("Choose at least one building."), "buildings")
    if draft.audience is Audience.HOMES and not draft.units:
        raise RuleError(_("Type at least one home."), "homes")
    bound = buildings_of(staff)
    if bound is not None:
        asked = {one.pk for one in draft.buildings} | {one.building_id for one in draft.units}
        if draft.audience is Audience.ALL or not asked <= bound:
            raise RuleError(
                _("You work for some buildings only: write to these, or to homes in them."),
                "audience",
            )
    if draft.publish_at is not None and draft.publish_at > now + FARTHEST:
        raise RuleError(_("At most %(days)d days ahead.") % {"days": FARTHEST.days}, "publish_at")
    begins = max(draft.publish_at or now, now)
    if draft.expires_at is not None and draft.expires_at <= begins:
        raise RuleError(_("It would expire before anybody reads it."), "expires_at")
    if draft.expires_at is not None and draft.expires_at > begins + LONGEST:
        raise RuleError(_("A notice holds for a year at most."), "expires_at")


def _fill(notice: Notice, draft: Draft) -> None:
    notice.title, notice.text = draft.title.strip(), draft.text.strip()
    notice.audience, notice.owners_only = draft.audience, draft.owners_only
    notice.is_urgent = draft.is_urgent
    notice.publish_at, notice.expires_at = draft.publish_at, draft.expires_at


def _locked(notice: Notice, states: Sequence[NoticeState]) -> Notice:
    fresh = Notice.objects.select_for_update().select_related("community").get(pk=notice.pk)
    if fresh.state not in states:
        raise RuleError(
            _("This notice is not a draft any more: %(state)s.")
            % {"state": fresh.get_state_display()}
        )
    return fresh


def _plain(name: str) -> str:
    return re.sub(r"[\s·#]", "", name).casefold()


def in_community(community: Community, notice_id: str) -> Notice | None:
    """Find a notice of a community."""
    return Notice.objects.filter(pk=notice_id, community=community).first()
