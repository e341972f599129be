"""What the devices at an access point can report: rules say nothing of what nobody reads."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models import Max
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from anlin.core.entities import Method
from anlin.core.event import EventKind
from anlin.hub.access.models import AccessPoint
from anlin.hub.devices.models import Device
from anlin.hub.events.models import Event
from anlin.hub.explain.saw import method_name

LOOK_BACK = 20_000
"""Events: at a busy community a day or two, and read in a few milliseconds."""

_DECIDED = (EventKind.ACCESS_GRANTED.value, EventKind.ACCESS_DENIED.value)
_NOTHING: frozenset[Method] = frozenset()
_FOUND = tuple[frozenset[Method], frozenset[Method]]


@dataclass(frozen=True, slots=True)
class Readers:
    """What is read at an access point. `maybe` depends on how the reader there is built."""

    sure: frozenset[Method]
    maybe: frozenset[Method]
    is_wired: bool


def readers_at(point: AccessPoint) -> Readers:
    """Say what the devices at an access point report, by their settings."""
    sure: frozenset[Method] = frozenset()
    maybe: frozenset[Method] = frozenset()
    devices = Device.objects.filter(node=point.portal.node_id) if point.portal.node_id else ()
    for device in devices:
        told = _TOLD.get(device.driver)
        for certain, possible in told(device.settings, point.pk) if told is not None else ():
            sure |= certain
            maybe |= possible
    return Readers(sure, maybe - sure, bool(sure or maybe))


def as_reported(method: Method, readers: Readers) -> Method:
    """Give the method as which the devices report it: a terminal knows a face by itself."""
    is_by_terminal = Method.TERMINAL_FACE in readers.sure and Method.FACE not in readers.sure
    return Method.TERMINAL_FACE if method is Method.FACE and is_by_terminal else method


def unread(method: Method, point: AccessPoint, readers: Readers) -> str:
    """Say why a method shown at an access point is not read there; "" where it is.

    A telephone is shown by the hub and needs no reader.
    """
    if method is Method.PHONE or method in readers.sure:
        return ""
    values = {"point": point.name, "method": method_name(method)}
    if not readers.is_wired:
        return _("No device is wired to %(point)s: nothing that is shown there is read.") % values
    if method not in readers.maybe:
        known = sorted(readers.sure | readers.maybe)
        values["methods"] = _(", ").join(method_name(one) for one in known)
        return " ".join(
            (
                str(_LACKS.get(method, _OTHERWISE)) % values,
                _("What is read there: %(methods)s.") % values,
            )
        )
    return ""


def doubtful(method: Method, point: AccessPoint, readers: Readers) -> str:
    """Say what the reader must have for a method that it may not take; "" where it took one."""
    needs = _NEEDS.get(method)
    if method not in readers.maybe or needs is None or _was_read(method, point):
        return ""
    return str(needs) % {"point": point.name}


_LACKS: Mapping[Method, Promise] = {
    Method.PIN: gettext_lazy("No keypad at %(point)s is read: a PIN can't be typed there."),
    Method.FACE: gettext_lazy("No camera looks for faces at %(point)s: a face is not seen there."),
    Method.TERMINAL_FACE: gettext_lazy("No face terminal hangs at %(point)s."),
    Method.PLATE: gettext_lazy("No camera reads number plates at %(point)s."),
    Method.QR: gettext_lazy("No reader at %(point)s scans codes: a pass is not read there."),
}
_OTHERWISE = gettext_lazy("No device at %(point)s reports this: %(method)s.")

_NEEDS: Mapping[Method, Promise] = {
    Method.PIN: gettext_lazy(
        "Only if the reader at %(point)s has a keypad; none was typed there of late."
    ),
    Method.QR: gettext_lazy(
        "Only if the reader at %(point)s scans codes; none was shown there of late."
    ),
    Method.CARD: gettext_lazy(
        "Only if the device at %(point)s reads cards; none was shown there of late."
    ),
    Method.SECURE_CARD: gettext_lazy(
        "Only if the reader at %(point)s checks the cryptography of cards; none was shown there "
        "of late."
    ),
}


def _was_read(method: Method, point: AccessPoint) -> bool:
    events = Event.objects.filter(community=point.portal.community_id)
    newest = events.aggregate(last=Max("pk"))["last"] or 0
    return events.filter(
        pk__gt=newest - LOOK_BACK, subject=point.pk, kind__in=_DECIDED, data__method=method.value
    ).exists()


def _mqtt_gate(settings: Mapping[str, Any], point: str) -> Iterator[_FOUND]:
    if point in _values(settings.get("readers")):
        heads = frozenset({Method.CARD, Method.SECURE_CARD, Method.PIN, Method.QR})
        yield _NOTHING, heads
    if point in _values(settings.get("buttons")):
        yield frozenset({Method.EXIT_BUTTON}), _NOTHING


def _camera(settings: Mapping[str, Any], point: str) -> Iterator[_FOUND]:
    if settings.get("point") == point:
        is_plates = settings.get("task") == "plates"
        yield frozenset({Method.PLATE if is_plates else Method.FACE}), _NOTHING


def _osdp(settings: Mapping[str, Any], point: str) -> Iterator[_FOUND]:
    for reader in _maps(settings.get("readers")):
        if reader.get("point") == point:
            card = Method.SECURE_CARD if reader.get("is_secure_card") else Method.CARD
            yield frozenset({card}), frozenset({Method.PIN})
        if reader.get("exit_point") == point:
            yield frozenset({Method.EXIT_BUTTON}), _NOTHING


def _uhppote(settings: Mapping[str, Any], point: str) -> Iterator[_FOUND]:
    for door in _maps(settings.get("doors")):
        if point in (door.get("entry"), door.get("exit")):
            yield frozenset({Method.CARD, Method.SECURE_CARD}), _NOTHING
        if point == door.get("exit"):
            yield frozenset({Method.EXIT_BUTTON}), _NOTHING


def _modbus(settings: Mapping[str, Any], point: str) -> Iterator[_FOUND]:
    for wired in _maps(settings.get("inputs")):
        if wired.get("point") == point:
            yield frozenset({Method.EXIT_BUTTON}), _NOTHING


def _face_terminal(settings: Mapping[str, Any], point: str) -> Iterator[_FOUND]:
    if settings.get("point") == point:
        yield frozenset({Method.TERMINAL_FACE}), frozenset({Method.CARD})
    if settings.get("button_point") == point:
        yield frozenset({Method.EXIT_BUTTON}), _NOTHING


def _values(given: Any) -> list[Any]:
    return list(given.values()) if isinstance(given, Mapping) else []


def _maps(given: Any) -> list[Mapping[str, Any]]:
    return [one for one in _values(given) if isinstance(one, Mapping)]


_TOLD: Mapping[str, Callable[[Mapping[str, Any], str], Iterator[_FOUND]]] = {
    "mqtt_gate": _mqtt_gate,
    "camera": _camera,
    "osdp": _osdp,
    "uhppote": _uhppote,
    "modbus": _modbus,
    "face_terminal": _face_terminal,
}

KNOWN = frozenset(_TOLD)
