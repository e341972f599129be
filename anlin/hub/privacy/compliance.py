"""The checklist of the law, each line with what is so now and where to see it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from zoneinfo import ZoneInfo

from django.db.models import Max
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from anlin.core.event import EventKind
from anlin.hub.audit.models import Change, View
from anlin.hub.events.models import Event
from anlin.hub.people.models import Community, Consent, Role, StaffProfile
from anlin.hub.privacy import assessment, faces, ledger, requests, retention
from anlin.hub.privacy.logtime import position_before
from anlin.hub.privacy.models import PRIVATE_AREAS, Notice, Receipt
from anlin.hub.privacy.points import check_points

FIRE_TEST_EVERY = timedelta(days=31)
RECEIPT_WITHIN = timedelta(days=1)
"""An edge that is reached confirms in seconds; one that has not in a day needs somebody."""


@dataclass(frozen=True, slots=True)
class Item:
    """One line: what is asked, whether it is so, what is so now, and where to see to it."""

    text: str
    state: str
    """"good", "warning" or "denied"."""
    now: str
    url: str = ""


def checklist(community: Community) -> list[Item]:
    """Say of every line of the checklist how it stands now."""
    return [
        _consents(community),
        _receipts(community),
        _ways(community),
        _notices(community),
        _guardians(community),
        _requests(community),
        _retention(community),
        _counter(community),
        _assessment(community),
        _masked(),
        _logs(community),
        _fire(community),
        _signs(community),
        _roles(community),
    ]


def _consents(community: Community) -> Item:
    old = ledger.outdated(community).count()
    return Item(
        _("Separate consent, and renewal when the notice has changed"),
        "warning" if old else "good",
        ngettext("%(n)d consent is to be renewed", "%(n)d consents are to be renewed", old)
        % {"n": old}
        if old
        else _("Every consent in force was given to a text that still holds."),
        reverse("privacy:ledger"),
    )


def _receipts(community: Community) -> Item:
    open_ones = Receipt.objects.filter(community=community, completed_at=None)
    count = open_ones.count()
    is_old = open_ones.filter(asked_at__lt=timezone.now() - RECEIPT_WITHIN).exists()
    return Item(
        _("Withdrawal deletes everywhere, with a receipt from every device"),
        "denied" if is_old else "warning" if count else "good",
        ngettext("%(n)d deletion is not proven yet", "%(n)d deletions are not proven yet", count)
        % {"n": count}
        if count
        else _("Every deletion is proven."),
        reverse("privacy:receipts"),
    )


def _ways(community: Community) -> Item:
    checks = check_points(community)
    alone = [one.point.name for one in checks if one.is_face_alone]
    unequal = [one.point.name for one in checks if not one.is_equal]
    if alone:
        now = _("Face is the only way at: %(names)s") % {"names": ", ".join(alone)}
    elif unequal:
        now = _("No card, PIN or button at: %(names)s") % {"names": ", ".join(unequal)}
    else:
        now = _("Every door opens without face and without phone too.")
    state = "denied" if alone else "warning" if unequal else "good"
    return Item(_("A way that is no face at every door"), state, now, reverse("privacy:points"))


def _notices(community: Community) -> Item:
    own = Notice.objects.filter(community=community).exclude(published_by="anlin").exists()
    return Item(
        _("A notice with the processor's own name, in versions"),
        "good" if own else "warning",
        _("Version %(version)s is in force.") % {"version": community.face_notice_version}
        if own
        else _("Only the text that comes with Anlin: publish one with your name and address."),
        reverse("privacy:notices"),
    )


def _guardians(community: Community) -> Item:
    today = timezone.localdate()
    born_after = today.replace(year=today.year - 14, day=min(today.day, 28))
    children = Consent.objects.filter(
        holder__community=community, withdrawn_at=None, holder__identity__born_on__gt=born_after
    )
    missing = children.filter(guardian=None, relation="").count()
    return Item(
        _("A guardian's consent for children under 14"),
        "denied" if missing else "good",
        ngettext(
            "%(n)d consent of a child has no guardian",
            "%(n)d consents of children have no guardian",
            missing,
        )
        % {"n": missing}
        if missing
        else _("%(n)d consents were given by guardians.") % {"n": children.count()},
        reverse("privacy:ledger"),
    )


def _requests(community: Community) -> Item:
    today = timezone.now().astimezone(ZoneInfo(community.zone)).date()
    late = requests.overdue(community, today).count()
    waiting = requests.open_requests(community).count()
    return Item(
        _("Requests about personal data answered in time"),
        "denied" if late else "good",
        ngettext("%(n)d request is overdue", "%(n)d requests are overdue", late) % {"n": late}
        if late
        else _("%(n)d waiting, none overdue.") % {"n": waiting},
        reverse("privacy:requests"),
    )


def _retention(community: Community) -> Item:
    late = [str(rule.word) for rule in retention.late(community)]
    return Item(
        _("Data let go in time, with evidence"),
        "denied" if late else "good",
        _("No run for two days: %(names)s") % {"names": ", ".join(late)}
        if late
        else _("Every kind has been run in the last two days."),
        reverse("privacy:retention"),
    )


def _counter(community: Community) -> Item:
    found = faces.counter(community)
    states = {"calm": "good", "filed": "good", "overdue": "denied", "due": "denied"}
    return Item(
        _("Fewer than 100,000 stored faces, or filed"),
        states.get(found.level, "warning"),
        _("%(n)d persons with a stored face.") % {"n": found.persons},
        reverse("privacy:filing"),
    )


def _assessment(community: Community) -> Item:
    row = assessment.newest(community)
    url = reverse("privacy:assessments")
    text = _("An impact assessment of what is set up now")
    if row is None:
        return Item(text, "denied", _("None has been made."), url)
    if assessment.changed_since(row):
        now = _("Settings have changed since version %(n)d: make it again.") % {"n": row.number}
        return Item(text, "warning", now, url)
    now = _("Version %(n)d of %(day)s fits what is set up.")
    return Item(
        text, "good", now % {"n": row.number, "day": timezone.localtime(row.made_at).date()}, url
    )


def _masked() -> Item:
    return Item(
        _("Numbers masked on the screen, closed in the database"),
        "good",
        _("Identity numbers and telephones stand closed; to see one takes a purpose."),
    )


def _logs(community: Community) -> Item:
    since = timezone.now() - timedelta(days=30)
    looks = View.objects.filter(community=community, at__gt=since).count()
    changes = Change.objects.filter(community=community, at__gt=since).count()
    return Item(
        _("A log of who looked and who changed"),
        "good",
        _("%(looks)d looks and %(changes)d changes in 30 days.")
        % {"looks": looks, "changes": changes},
        reverse("audit:changes"),
    )


def _fire(community: Community) -> Item:
    since = timezone.now() - FIRE_TEST_EVERY
    last = Event.objects.filter(
        community=community.pk,
        kind=EventKind.FIRE_RELEASED.value,
        pk__gt=position_before(since),
    ).aggregate(at=Max("at"))["at"]
    return Item(
        _("Fire release tried each month"),
        "good" if last is not None else "warning",
        _("Last released on %(day)s.") % {"day": timezone.localtime(last).date()}
        if last is not None
        else _("Nothing was released in the last 31 days."),
        reverse("state:fire"),
    )


def _signs(community: Community) -> Item:
    today = timezone.now().astimezone(ZoneInfo(community.zone)).date()
    found = faces.register(community, today)
    faulty = [one.device.name for one in found if one.faults]
    is_private = any(
        one.has_faces and one.site is not None and one.site.area in PRIVATE_AREAS for one in found
    )
    return Item(
        _("Cameras registered, signed and filed; none with faces in private places"),
        "denied" if is_private else "warning" if faulty else "good",
        _("Something is missing for: %(names)s") % {"names": ", ".join(faulty)}
        if faulty
        else _("%(n)d cameras and terminals, nothing missing.") % {"n": len(found)},
        reverse("privacy:cameras"),
    )


def _roles(community: Community) -> Item:
    roles = set(
        StaffProfile.objects.filter(community=community, user__is_active=True).values_list(
            "role", flat=True
        )
    )
    has_auditor = Role.AUDITOR.value in roles
    return Item(
        _("Roles kept apart, with somebody who audits"),
        "good" if has_auditor else "warning",
        _("%(n)d roles have a log-in.") % {"n": len(roles)}
        if has_auditor
        else _("Nobody has the role of the auditor."),
    )
