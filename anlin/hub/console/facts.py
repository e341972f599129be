"""What an event knows beyond who, where and when: the facts a guard or installer acts on."""

from __future__ import annotations

from django.utils.functional import Promise
from django.utils.translation import gettext as _

from anlin.core.event import EventKind
from anlin.hub.events.models import Event
from anlin.hub.reasons import device_text, part_text, reason_text, refusal_text

Fact = tuple[str, str | Promise]

_OF_DEVICES = frozenset(
    {
        EventKind.DEVICE_ONLINE,
        EventKind.DEVICE_OFFLINE,
        EventKind.DEVICE_FAULT,
        EventKind.DEVICE_FAULT_CLEARED,
        EventKind.TAMPER,
        EventKind.TAMPER_CLEARED,
        EventKind.MESSAGE_REFUSED,
    }
)


def facts(event: Event) -> list[Fact]:
    """Give what else to tell of an event, as pairs of a word and what it is."""
    if event.kind in _OF_DEVICES:
        return _of_device(event)
    found: list[Fact] = []
    match event.kind:
        case EventKind.TAILGATING:
            found.append((_("Persons let in"), _text(event, "granted")))
            found.append((_("Persons who went through"), _text(event, "persons")))
        case EventKind.DOOR_HELD:
            limit = _text(event, "limit_s").removesuffix(".0")
            found.append((_("May stand open (seconds)"), limit))
        case EventKind.BIKE_QUESTION if not event.data.get("holder"):
            found.append((_("Who left with it"), _("Somebody unknown, or one of several people")))
        case EventKind.REPEATED_DENIALS:
            found.append((_("Refused because"), reason_text(_text(event, "reason"))))
        case EventKind.BOARD_DISAGREES:
            found.append((_("The board said"), reason_text(_text(event, "theirs"))))
            found.append((_("The edge would have said"), reason_text(_text(event, "ours"))))
    return [(word, said) for word, said in found if said]


def _of_device(event: Event) -> list[Fact]:
    rule, value = _text(event, "rule"), _text(event, "value")
    if refusal_text(_text(event, "code"), rule):
        # The sentence stands as the title, with the device's name; this is for the installer.
        return [(_("Technical detail"), rule)] if rule else []
    said: list[Fact] = [
        (_("Part of the device"), part_text(_text(event, "part"))),
        (_("What it says"), device_text(_text(event, "detail"))),
        (_("Why") if event.kind == EventKind.MESSAGE_REFUSED else _("Fault"), device_text(rule)),
        (_("What it was"), value),
    ]
    return [(word, text) for word, text in said if text]


def _text(event: Event, name: str) -> str:
    value = event.data.get(name)
    return "" if value is None else str(value)[:200]
