"""How many persons' faces are stored, and what has to be filed for it (order 19, article 15)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from anlin.core.entities import Method, Status
from anlin.hub.access.models import Credential, HolidayTable
from anlin.hub.audit.log import Actor, changing
from anlin.hub.devices.models import Device
from anlin.hub.errors import RuleError
from anlin.hub.people.models import Community
from anlin.hub.privacy.models import PRIVATE_AREAS, Settings, Site
from anlin.hub.privacy.retention import settings_of

WARN_AT = 80_000
URGENT_AT = 95_000
FILE_AT = 100_000
FILE_WORKING_DAYS = 30


def stored_persons() -> int:
    """Count persons whose face this installation stores now, each once, over all communities.

    A person who is registered in two communities is one person where the identity document or
    the telephone shows it.
    """
    faces = Credential.objects.filter(method=Method.FACE.value).exclude(status=Status.REVOKED.value)
    rows = faces.values_list(
        "holder_id", "holder__identity__number_index", "holder__phone_index", "holder__name"
    )
    persons = set()
    for holder, number, phone, name in rows.iterator(chunk_size=5000):
        # One telephone often serves a family: together with the name it tells one person.
        persons.add(number or (f"{phone}/{name}" if phone else holder))
    return len(persons)


@dataclass(frozen=True, slots=True)
class Counter:
    """Where the count stands against the duty to file."""

    persons: int
    level: str
    """"calm", "warning" (80,000), "urgent" (95,000), "due" or "overdue", and "filed"."""
    due_on: date | None
    settings: Settings

    @property
    def percent(self) -> int:
        return min(100, self.persons * 100 // FILE_AT)


def counter(
    community: Community, persons: int | None = None, now: datetime | None = None
) -> Counter:
    """Count, note when the limit was reached, and say what has to be done."""
    count = stored_persons() if persons is None else persons
    at = now or timezone.now()
    row = settings_of(community)
    if count >= FILE_AT and row.reached_at is None:
        row, _is_new = Settings.objects.get_or_create(community=community)
        row.reached_at = at
        row.save(update_fields=["reached_at"])
    due = None
    if row.reached_at is not None:
        due = working_days_after(community, row.reached_at, FILE_WORKING_DAYS)
    today = at.astimezone(ZoneInfo(community.zone)).date()
    if row.filed_on is not None:
        level = "filed"
    elif due is not None:
        level = "overdue" if today > due else "due"
    elif count >= URGENT_AT:
        level = "urgent"
    else:
        level = "warning" if count >= WARN_AT else "calm"
    return Counter(count, level, due, row)


def working_days_after(community: Community, at: datetime, days: int) -> date:
    """Give the last of so many working days after a day, by the community's own holidays."""
    day = at.astimezone(ZoneInfo(community.zone)).date()
    tables = HolidayTable.objects.filter(community=community)
    holidays = {str(on) for table in tables for on in table.dates}
    while days > 0:
        day += timedelta(days=1)
        if day.weekday() < 5 and day.isoformat() not in holidays:
            days -= 1
    return day


def set_filing(
    community: Community,
    by: Actor,
    *,
    processor: str,
    contact: str,
    credit_code: str,
    filed_on: date | None,
    filing_number: str,
    filing_note: str,
    answer_days: int,
) -> None:
    """Write down who answers for the data and what was filed.

    Raises:
        RuleError: a code that is none, or more days to answer than allowed.
    """
    credit_code = credit_code.strip().upper()
    if credit_code and (len(credit_code) != 18 or not credit_code.isalnum()):
        raise RuleError(_("The credit code has 18 letters and digits."), "credit_code")
    if not 1 <= answer_days <= Settings.MOST_ANSWER_DAYS:
        raise RuleError(
            _("1 to %(n)d working days.") % {"n": Settings.MOST_ANSWER_DAYS}, "answer_days"
        )
    with transaction.atomic():
        row, _is_new = Settings.objects.get_or_create(community=community)
        with changing(by, community, row, "set filing"):
            row.processor = processor.strip()
            row.contact = contact.strip()
            row.credit_code = credit_code
            row.filed_on = filed_on
            row.filing_number = filing_number.strip()
            row.filing_note = filing_note.strip()
            row.answer_days = answer_days


def has_face_function(device: Device) -> bool:
    """Say whether a device looks for faces."""
    return device.driver == "face_terminal" or (
        device.driver == "camera" and device.settings.get("task") == "faces"
    )


def lookers(community: Community) -> list[Device]:
    """List the cameras and face terminals of a community."""
    found = Device.objects.filter(node__community=community, driver__in=("camera", "face_terminal"))
    return list(found.select_related("node", "site", "state").order_by("name"))


def set_site(device: Device, by: Actor, **values: object) -> Site:
    """Write down where a camera looks, its sign and its filing.

    Raises:
        RuleError: a private place, where a camera with a face function is forbidden.
    """
    if values.get("area") in PRIVATE_AREAS and has_face_function(device):
        raise RuleError(
            _(
                "No face function in private places (order 19, article 13). "
                "Give the camera another task first."
            ),
            "area",
        )
    community = device.node.community
    with transaction.atomic():
        site = Site.objects.filter(device=device).first() or Site(
            device=device, area=str(values["area"])
        )
        with changing(by, community, site, "set camera site"):
            for name, value in values.items():
                setattr(site, name, value)
    return site


@dataclass(frozen=True, slots=True)
class Placed:
    """One camera with what the register says of it, and what is missing."""

    device: Device
    site: Site | None
    has_faces: bool
    faults: tuple[str, ...]


def register(community: Community, today: date) -> list[Placed]:
    """List cameras and terminals, those with faults first."""
    found = [_placed(device, today) for device in lookers(community)]
    return sorted(found, key=lambda one: (not one.faults, one.device.name))


def _placed(device: Device, today: date) -> Placed:
    site = getattr(device, "site", None)
    faults = []
    if site is None:
        faults.append(_("not in the register"))
    else:
        if site.area in PRIVATE_AREAS:
            faults.append(
                _("a face function in a private place")
                if has_face_function(device)
                else _("a camera in a private place")
            )
        if not site.sign_place or site.sign_seen_on is None:
            faults.append(_("no sign noted"))
        if site.filed_on is None:
            since = site.in_use_since
            if since is not None and today > since + Site.FILE_WITHIN:
                faults.append(_("filing with the police is overdue"))
            else:
                faults.append(_("not filed with the police yet"))
        if not site.necessity:
            faults.append(_("no reason why it is needed there"))
    return Placed(device, site, has_face_function(device), tuple(faults))
