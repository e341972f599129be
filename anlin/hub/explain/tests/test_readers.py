"""What would happen also says whether anything at that point reads what would be shown."""

from __future__ import annotations

import html
from typing import Any

import pytest
from django.urls import reverse
from django.utils import translation

from anlin.core.access import Reason
from anlin.core.entities import Method
from anlin.drivers.base import drivers
from anlin.hub.access import services as access
from anlin.hub.access.models import AccessPoint
from anlin.hub.console.tests.conftest import _catalogues, sign_in, world
from anlin.hub.console.tests.world import BY, SignIn, World
from anlin.hub.devices import services as devices
from anlin.hub.explain.readers import KNOWN, as_reported, doubtful, readers_at, unread

pytestmark = pytest.mark.django_db(databases=["default", "events"])
__all__ = ["_catalogues", "sign_in", "world"]

CARD, SECURE, PIN, QR = Method.CARD, Method.SECURE_CARD, Method.PIN, Method.QR
FACE, TERMINAL, PLATE, BUTTON = (
    Method.FACE,
    Method.TERMINAL_FACE,
    Method.PLATE,
    Method.EXIT_BUTTON,
)


def test_every_driver_says_what_its_devices_read() -> None:
    assert set(drivers()) == KNOWN


def wire(world: World, driver: str, settings: dict[str, Any]) -> AccessPoint:
    """Add a device whose settings name the east entry as "HERE"."""
    point = world.points["east"]

    def placed(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: placed(one) for key, one in value.items()}
        return point.pk if value == "HERE" else value

    devices.add_device(world.node, "新设备", driver, placed(settings), BY)
    return AccessPoint.objects.select_related("portal").get(pk=point.pk)


@pytest.mark.parametrize(
    ("driver", "wires", "sure", "maybe"),
    [
        ("mqtt_gate", {"readers": {"in": "HERE"}}, set(), {CARD, SECURE, PIN, QR}),
        ("mqtt_gate", {"buttons": {"exit": "HERE"}}, {BUTTON}, set()),
        ("camera", {"point": "HERE", "task": "faces"}, {FACE}, set()),
        ("camera", {"point": "HERE", "task": "plates"}, {PLATE}, set()),
        ("camera", {"point": "elsewhere", "task": "faces"}, set(), set()),
        ("osdp", {"readers": {"1": {"point": "HERE"}}}, {CARD}, {PIN}),
        (
            "osdp",
            {"readers": {"1": {"point": "HERE", "is_secure_card": True}}},
            {SECURE},
            {PIN},
        ),
        ("osdp", {"readers": {"1": {"point": "x", "exit_point": "HERE"}}}, {BUTTON}, set()),
        ("uhppote", {"doors": {"1": {"portal": "x", "entry": "HERE"}}}, {CARD, SECURE}, set()),
        ("modbus", {"inputs": {"0": {"kind": "exit_button", "point": "HERE"}}}, {BUTTON}, set()),
        ("face_terminal", {"point": "HERE"}, {TERMINAL}, {CARD}),
        ("face_terminal", {"point": "x", "button_point": "HERE"}, {BUTTON}, set()),
        ("osdp", {"readers": "broken"}, set(), set()),
    ],
)
def test_what_is_read_follows_from_how_devices_are_wired(
    world: World, driver: str, wires: dict[str, Any], sure: set[Method], maybe: set[Method]
) -> None:
    found = readers_at(wire(world, driver, wires))
    assert (set(found.sure), set(found.maybe)) == (sure, maybe)
    assert found.is_wired == bool(sure or maybe)


def test_a_card_reader_takes_no_face_and_its_keypad_is_doubted_until_one_was_typed(
    world: World,
) -> None:
    point = wire(world, "osdp", {"readers": {"1": {"point": "HERE"}}})
    readers = readers_at(point)
    with translation.override("en"):
        assert unread(CARD, point, readers) == ""
        assert "No camera looks for faces" in unread(FACE, point, readers)
        assert "What is read there: " in unread(QR, point, readers)
        assert unread(Method.PHONE, point, readers) == ""
        assert unread(PIN, point, readers) == ""
        assert "has a keypad" in doubtful(PIN, point, readers)
        world.refused("lin", "east", PIN, Reason.INVALID_PIN)
        assert doubtful(PIN, point, readers) == ""


def test_a_board_takes_no_pin_at_all(world: World) -> None:
    point = wire(world, "uhppote", {"doors": {"1": {"portal": "x", "entry": "HERE"}}})
    with translation.override("en"):
        assert "keypad" in unread(PIN, point, readers_at(point))


def test_a_face_is_asked_about_as_the_terminal_reports_it(world: World) -> None:
    point = wire(world, "face_terminal", {"point": "HERE"})
    assert as_reported(FACE, readers_at(point)) is TERMINAL
    assert unread(TERMINAL, point, readers_at(point)) == ""
    devices.add_device(world.node, "摄像机", "camera", {"point": point.pk, "task": "faces"}, BY)
    assert as_reported(FACE, readers_at(point)) is FACE


@pytest.mark.parametrize(("language", "said"), [("en", "No keypad"), ("zh-hans", "没有键盘")])
def test_the_page_says_that_a_pin_would_not_be_read_though_the_rules_admit(
    world: World, sign_in: SignIn, language: str, said: str
) -> None:
    point = wire(world, "uhppote", {"doors": {"1": {"portal": "x", "entry": "HERE"}}})
    lin = world.people["lin"]
    access.set_pin(lin, BY, "240817")
    means = lin.credentials.get(method="pin").pk
    query = {"holder": lin.pk, "means": means, "point": point.pk}
    page = sign_in("guo", language).get(reverse("explain:ask"), query).content.decode()
    assert said in html.unescape(page)
    assert "verdict denied" in page
    card = lin.credentials.get(method="card").pk
    page = sign_in("guo").get(reverse("explain:ask"), query | {"means": card}).content.decode()
    assert "verdict granted" in page
    assert "Would not be read" not in page
