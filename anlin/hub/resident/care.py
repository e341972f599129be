"""Whom to call: a home's own contacts, and the numbers of the property."""

from __future__ import annotations

from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from anlin.hub.audit.log import Actor, created, deleted
from anlin.hub.errors import RuleError
from anlin.hub.people.models import Community, Unit
from anlin.hub.resident.homes import Home, NotYoursError
from anlin.hub.resident.models import CareContact, HelpLine

MOST_CONTACTS = 5
"""In an emergency they are called one after the other; a sixth would be called too late."""
MOST_LINES = 10


def contacts_of(home: Home) -> QuerySet[CareContact]:
    """List the contacts of a resident's homes, in the order in which they are called."""
    units = [unit.pk for unit in home.units]
    return CareContact.objects.filter(unit__in=units).select_related("unit").order_by("added_at")


def add_contact(
    home: Home, unit: Unit, by: Actor, *, name: str, phone: str, sent_id: str, relation: str = ""
) -> CareContact:
    """Add whom to call for a home; the same form again gives the same contact.

    Raises:
        RuleError: there are enough.
    """
    if not sent_id:
        raise RuleError(_("Open the form once more."))
    community = home.holder.community
    done = unit.care_contacts.filter(sent_id=sent_id).first()
    if done is not None:
        return done
    if unit.care_contacts.count() >= MOST_CONTACTS:
        raise RuleError(_("At most %(most)d contacts; remove one first.") % {"most": MOST_CONTACTS})
    try:
        with transaction.atomic():
            contact = CareContact.objects.create(
                unit=unit,
                name=name.strip(),
                relation=relation.strip(),
                phone=phone.strip(),
                added_by=home.holder,
                added_at=timezone.now(),
                sent_id=sent_id,
            )
            created(by, community, contact, action="add care contact")
    except IntegrityError as error:
        again = unit.care_contacts.filter(sent_id=sent_id).first()
        if again is None:
            raise RuleError(_("Open the form once more.")) from error
        return again
    return contact


def remove_contact(home: Home, contact_id: str, by: Actor) -> None:
    """Remove a contact of one's own home.

    Raises:
        NotYoursError: it is another home's, or gone.
    """
    contact = contacts_of(home).filter(pk=contact_id).first()
    if contact is None:
        raise NotYoursError(contact_id)
    with transaction.atomic():
        deleted(by, home.holder.community, contact, action="remove care contact")
        contact.delete()


def lines_of(community: Community) -> QuerySet[HelpLine]:
    """List the numbers of the property."""
    return community.help_lines.order_by("pk")


def set_line(community: Community, by: Actor, *, name: str, phone: str, hours: str) -> HelpLine:
    """Write down a number that residents may call; one of that name is written anew.

    Raises:
        RuleError: there are enough.
    """
    with transaction.atomic():
        rest = community.help_lines.exclude(name=name.strip())
        if rest.count() >= MOST_LINES:
            raise RuleError(_("At most %(most)d numbers.") % {"most": MOST_LINES})
        line, _is_new = HelpLine.objects.update_or_create(
            community=community,
            name=name.strip(),
            defaults={"phone": phone.strip(), "hours": hours.strip()},
        )
        created(by, community, line, action="set help line")
    return line


def remove_line(line: HelpLine, by: Actor) -> None:
    """Take a number away."""
    with transaction.atomic():
        deleted(by, line.community, line, action="remove help line")
        line.delete()
