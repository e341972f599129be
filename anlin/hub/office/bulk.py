"""One act on many people: chosen, shown one by one, agreed to, and done whole or not at all.

What was shown is what is done: the preview keeps the very records that it named, and the yes is a
signed token that counts once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.core import signing
from django.db import models, transaction
from django.db.models import Exists, OuterRef, Prefetch, Q, QuerySet
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from anlin.core.entities import HolderKind, Method, Status
from anlin.hub.access import services as access
from anlin.hub.access.models import Credential
from anlin.hub.audit.log import Actor, viewed
from anlin.hub.errors import RuleError
from anlin.hub.office import jobs
from anlin.hub.office.models import Job, JobKind, JobState
from anlin.hub.people import services as people
from anlin.hub.people.models import (
    Holder,
    HolderStatus,
    Residency,
    ResidencyKind,
    StaffProfile,
    in_force,
)
from anlin.hub.permissions import holders_in_scope

MOST = 500
"""More people than this nobody looks through before saying yes; and one transaction holds them."""

TOKEN_AGE = timedelta(minutes=30)
"""A preview that is older no longer shows what is so."""

_SALT = "anlin office bulk"
_CARDS = (Method.CARD.value, Method.SECURE_CARD.value)


class Action(models.TextChoices):
    SUSPEND = "suspend", gettext_lazy("Suspend: nothing opens any more")
    RESUME = "resume", gettext_lazy("Let in again")
    END_LEASES = "end_leases", gettext_lazy("End leases now")
    REVOKE_CARDS = "revoke_cards", gettext_lazy("Take cards back")
    PASSES = "passes", gettext_lazy("Print QR passes")


class Lease(models.TextChoices):
    ANY = "", gettext_lazy("Any")
    ENDED = "ended", gettext_lazy("Lease is over, no other home")
    ENDING = "ending", gettext_lazy("Lease ends within 30 days")
    TENANT = "tenant", gettext_lazy("Tenants")


class Holds(models.TextChoices):
    ANY = "", gettext_lazy("Any")
    NOTHING = "nothing", gettext_lazy("Nothing to open with")
    CARD = "card", gettext_lazy("A card")


@dataclass(frozen=True, slots=True)
class Choice:
    """By what people are chosen."""

    building: str = ""
    lease: str = ""
    holds: str = ""
    status: str = ""


@dataclass(frozen=True, slots=True)
class Affected:
    """One person of a preview: where, and what would become of them."""

    holder: Holder
    home: str
    effect: str


def chosen(staff: StaffProfile, choice: Choice, now: datetime) -> QuerySet[Holder]:
    """Select residents and staff by a choice, within the scope of who asks."""
    found = holders_in_scope(staff).exclude(kind=HolderKind.VISITOR.value)
    found = found.exclude(status=HolderStatus.LEFT)
    homes = Residency.objects.filter(holder=OuterRef("pk"))
    now_there = homes.filter(in_force(now))
    if choice.building:
        found = found.filter(Exists(homes.filter(unit__building=choice.building)))
    if choice.lease == Lease.ENDED:
        lasting = homes.filter(Q(ends_at=None) | Q(ends_at__gt=now))
        found = found.filter(Exists(homes), ~Exists(lasting))
    elif choice.lease == Lease.ENDING:
        soon = now_there.filter(kind=ResidencyKind.TENANT, ends_at__lte=now + timedelta(days=30))
        found = found.filter(Exists(soon))
    elif choice.lease == Lease.TENANT:
        found = found.filter(Exists(now_there.filter(kind=ResidencyKind.TENANT)))
    held = Credential.objects.filter(holder=OuterRef("pk")).exclude(status=Status.REVOKED.value)
    if choice.holds == Holds.NOTHING:
        found = found.filter(~Exists(held))
    elif choice.holds == Holds.CARD:
        found = found.filter(Exists(held.filter(method__in=_CARDS)))
    if choice.status:
        found = found.filter(status=choice.status)
    return found.order_by("name", "pk")


def preview(
    staff: StaffProfile, action: Action, choice: Choice, days: int, reason: str, by: Actor
) -> Job:
    """Keep who would be affected, with the very records that would change.

    Raises:
        RuleError: no reason, nobody is affected, or more than anybody would look through.
    """
    reason = " ".join(reason.split())[:120]
    if len(reason) < 2:
        raise RuleError(_("Say why: it is written into the log."), "reason")
    now = timezone.now()
    targets = _targets(action, chosen(staff, choice, now), now)
    if not targets:
        raise RuleError(_("Nobody here would be affected by that."))
    if len(targets) > MOST:
        raise RuleError(
            _("%(count)d people would be affected; at most %(most)d at once. Choose fewer.")
            % {"count": len(targets), "most": MOST}
        )
    params = {"action": action.value, "targets": targets, "days": days, "reason": reason}
    job = jobs.new_job(staff, JobKind.BULK, JobState.CHECKED, by, params=params)
    viewed(by, staff.community, "bulk preview", targets, reason)
    return job


def affected(job: Job) -> list[Affected]:
    """Show everybody of a preview, in the order of their homes."""
    targets: dict[str, list[str]] = job.params["targets"]
    action = Action(job.params["action"])
    homes = Residency.objects.select_related("unit")
    found = Holder.objects.filter(pk__in=targets, community=job.community).prefetch_related(
        Prefetch("residencies", homes)
    )
    rows = [
        Affected(holder, _home_of(holder), _effect(action, targets[holder.pk], job.params["days"]))
        for holder in found
    ]
    return sorted(rows, key=lambda row: (row.home, row.holder.name))


def token_of(job: Job) -> str:
    """Sign the yes to a preview as it is now."""
    return signing.dumps([job.pk, job.attempt], salt=_SALT)


def confirm(job: Job, token: str, by: Actor) -> bool:
    """Take the yes; False where it was taken already, and nothing more happens.

    Raises:
        RuleError: the token is not of this preview, or too old.
    """
    try:
        said = signing.loads(token[:500], salt=_SALT, max_age=TOKEN_AGE)
    except signing.BadSignature as error:
        raise RuleError(_("This preview is too old, or not yours. Make a new one.")) from error
    if said[0] != job.pk:
        raise RuleError(_("This preview is too old, or not yours. Make a new one."))
    if job.state != JobState.CHECKED or said[1] != job.attempt:
        return False
    return jobs.ask(job, JobState.CHECKED, JobState.WORKING, by)


def carry_out(job: Job) -> None:
    """Do to everybody what the preview said; who is no longer so is left out and counted."""
    action = Action(job.params["action"])
    by = jobs.actor_of(job)
    jobs.Teller(job)("writing", 0, len(job.params["targets"]))
    with transaction.atomic():
        counts: dict[str, Any] = {"done": 0, "left": 0}
        passes: list[str] = []
        holders = Holder.objects.select_related("community", "host").filter(
            pk__in=job.params["targets"], community=job.community
        )
        for holder in sorted(holders, key=lambda one: one.pk):
            records = job.params["targets"][holder.pk]
            made = _DO[action](holder, records, job, by)
            counts["done" if made else "left"] += 1
            passes.extend(one for one in made if action is Action.PASSES)
        counts["left"] += len(job.params["targets"]) - counts["done"] - counts["left"]
        params = {**job.params, "passes": passes} if passes else job.params
        jobs.finish(job, JobState.WORKING, JobState.DONE, counts=counts, params=params)


def _targets(action: Action, found: QuerySet[Holder], now: datetime) -> dict[str, list[str]]:
    """Give the holders that an act would change, each with the records it is about."""
    if action is Action.SUSPEND:
        return {pk: [] for pk in _ids(found.filter(status=HolderStatus.ACTIVE))}
    if action is Action.RESUME:
        return {pk: [] for pk in _ids(found.filter(status=HolderStatus.SUSPENDED))}
    if action is Action.PASSES:
        return {pk: [] for pk in _ids(found.filter(status=HolderStatus.ACTIVE))}
    about: QuerySet[Any]
    if action is Action.END_LEASES:
        about = Residency.objects.filter(in_force(now), kind=ResidencyKind.TENANT)
    else:
        held = Credential.objects.exclude(status=Status.REVOKED.value)
        about = held.filter(method__in=_CARDS)
    targets: dict[str, list[str]] = {}
    rows = about.filter(holder__in=found.values("pk")).order_by("pk")
    for pk, holder in rows.values_list("pk", "holder_id")[: 20 * MOST]:
        targets.setdefault(holder, []).append(pk)
    return targets


def _ids(found: QuerySet[Holder]) -> Sequence[str]:
    return list(found.values_list("pk", flat=True)[: MOST + 1])


def _effect(action: Action, records: Sequence[str], days: int) -> str:
    if action is Action.END_LEASES:
        text = ngettext("%(n)d lease ends", "%(n)d leases end", len(records))
        return text % {"n": len(records)}
    if action is Action.REVOKE_CARDS:
        text = ngettext(
            "%(n)d card is taken back for ever", "%(n)d cards are taken back for ever", len(records)
        )
        return text % {"n": len(records)}
    if action is Action.PASSES:
        text = ngettext("gets a pass for %(n)d day", "gets a pass for %(n)d days", days)
        return text % {"n": days}
    return str(_EFFECTS[action])


_EFFECTS: dict[Action, Promise] = {
    Action.SUSPEND: gettext_lazy("nothing opens any more"),
    Action.RESUME: gettext_lazy("is let in again"),
}


def _home_of(holder: Holder) -> str:
    return ", ".join(sorted({home.unit.code for home in holder.residencies.all()}))


def _suspend(holder: Holder, records: Sequence[str], job: Job, by: Actor) -> list[str]:
    if holder.status != HolderStatus.ACTIVE:
        return []
    people.suspend_holder(holder, by)
    return [holder.pk]


def _resume(holder: Holder, records: Sequence[str], job: Job, by: Actor) -> list[str]:
    if holder.status != HolderStatus.SUSPENDED:
        return []
    people.resume_holder(holder, by)
    return [holder.pk]


def _end_leases(holder: Holder, records: Sequence[str], job: Job, by: Actor) -> list[str]:
    leases = Residency.objects.filter(in_force(timezone.now()), pk__in=records, holder=holder)
    ended = list(leases.select_related("holder__community"))
    for lease in ended:
        people.end_residency(lease, by)
    return [lease.pk for lease in ended]


def _revoke_cards(holder: Holder, records: Sequence[str], job: Job, by: Actor) -> list[str]:
    cards = Credential.objects.filter(pk__in=records, holder=holder)
    held = list(cards.exclude(status=Status.REVOKED.value).select_related("holder__community"))
    for card in held:
        access.revoke_credential(card, by)
    return [card.pk for card in held]


def _issue(holder: Holder, records: Sequence[str], job: Job, by: Actor) -> list[str]:
    if holder.status != HolderStatus.ACTIVE:
        return []
    now = timezone.now()
    leave, _text = access.issue_pass(
        holder.community,
        holder,
        by,
        not_before=now,
        not_after=now + timedelta(days=job.params["days"]),
        uses=0,
    )
    return [leave.pk]


_DO: dict[Action, Callable[[Holder, Sequence[str], Job, Actor], list[str]]] = {
    Action.SUSPEND: _suspend,
    Action.RESUME: _resume,
    Action.END_LEASES: _end_leases,
    Action.REVOKE_CARDS: _revoke_cards,
    Action.PASSES: _issue,
}
