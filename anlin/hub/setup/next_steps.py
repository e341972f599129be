"""What comes after a device was saved: by its driver, with the commands ready to be copied."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from anlin.hub.devices.models import Device

HOME = "HOME"
"""Stands for the folder of the edge: its path is known on its own machine alone."""

_ONLINE = gettext_lazy("Within a minute it stands online on the page of edges and devices.")


@dataclass(frozen=True, slots=True)
class Step:
    """What to do, and what to type where there is something to type."""

    text: str
    command: str = ""


def next_steps(device: Device) -> list[Step]:
    """List what is still to be done at a device, in the order in which one does it."""
    told = _TOLD.get(device.driver)
    if told is None:
        return [Step(str(_ONLINE))]
    return list(told(device))


def _mqtt_gate(device: Device) -> Iterator[Step]:
    yield Step(
        _("Type its name and password at the controller. Lost it? “New password” below gives one."),
        device.pk,
    )
    yield Step(str(_ONLINE))
    yield _try_doors()


def _camera(device: Device) -> Iterator[Step]:
    yield Step(str(_ONLINE))
    if device.settings.get("task") == "plates":
        yield Step(
            _("Give somebody a number plate, drive up, and watch the row on the first page.")
        )
        return
    yield Step(_("Enrol a face, with consent, walk up, and watch the row on the first page."))
    yield Step(_("Hold a photograph of that face before it: it has to be refused."))


def _osdp(device: Device) -> Iterator[Step]:
    readers = device.settings.get("readers")
    readers = readers if isinstance(readers, Mapping) else {}
    secure = [address for address in sorted(readers, key=_number) if _is_secure(readers[address])]
    if secure:
        yield Step(
            _(
                "Bring each reader its key: until then it stays offline. Take it as from its box, "
                "connect it over a cable of your own, and type on the edge's machine, as the "
                "edge's user, with the edge's folder in place of HOME:"
            ),
            "\n".join(
                f"anlin osdp commission {HOME} {shlex.quote(device.pk)} {int(address)}"
                for address in secure
                if str(address).isdigit()
            ),
        )
        yield Step(
            _("Mount it, and keep a copy of the folder keys with the edge: a lost key is a reset.")
        )
    if len(secure) < len(readers):
        yield Step(
            _("Readers without encryption show the fault “clear text” for as long as they are so.")
        )
    yield _try_doors()


def _uhppote(_device: Device) -> Iterator[Step]:
    yield Step(
        _("Put boards on a network of their own: who can send it a packet can open its doors.")
    )
    yield Step(str(_ONLINE))
    yield Step(_("Its table becomes equal to the rules within minutes; see “Devices' own tables”."))
    yield _try_doors()


def _modbus(device: Device) -> Iterator[Step]:
    yield Step(str(_ONLINE))
    yield Step(
        _(
            "Let each input change once: open the door, drive over the loop, press the button. "
            "The row has to name the right place; if it comes the wrong way round, tick inverted."
        )
    )
    outputs = device.settings.get("outputs")
    relays = outputs.values() if isinstance(outputs, Mapping) else ()
    if any(isinstance(relay, Mapping) and "pulse_register" in relay for relay in relays):
        yield Step(
            _("Unplug its network while a door is released: the lock has to come back by itself.")
        )


def _face_terminal(device: Device) -> Iterator[Step]:
    listen = str(device.settings.get("listen") or "")
    scheme = "https" if device.settings.get("tls_cert") else "http"
    port = listen.rpartition(":")[2]
    yield Step(
        _("Type this address at the terminal, with the edge's name or address in place of EDGE:"),
        f"{scheme}://EDGE:{port}/terminal/v1/{device.pk}",
    )
    yield Step(
        _("And its key, which the edge has made at its start, in place of HOME the edge's folder:"),
        f"cat {HOME}/terminals/{device.pk}.key",
    )
    yield Step(str(_ONLINE))
    yield Step(_("Hold a photograph of an enrolled face before it: it has to be refused."))


def _try_doors() -> Step:
    return Step(
        _(
            "Show a card at each reader, press each exit button, open and close each door, and "
            "watch the rows on the first page. Then pull the plug of the lock once."
        )
    )


def _is_secure(reader: Any) -> bool:
    return isinstance(reader, Mapping) and reader.get("secure", True) is True


def _number(address: Any) -> int:
    return int(address) if str(address).isdigit() else -1


_TOLD: Mapping[str, Callable[[Device], Iterator[Step]]] = {
    "mqtt_gate": _mqtt_gate,
    "camera": _camera,
    "osdp": _osdp,
    "uhppote": _uhppote,
    "modbus": _modbus,
    "face_terminal": _face_terminal,
}

WITH_STEPS = frozenset(_TOLD)
