"""Each driver's form asks for all that its driver takes, and says what comes after it is saved."""

from __future__ import annotations

import html
from dataclasses import fields
from typing import Any

import pytest
from django.urls import reverse
from django.utils import translation

from anlin.core.detection import Configure
from anlin.drivers import _uhppote_settings, face_terminal, modbus, mqtt_gate, osdp
from anlin.drivers.base import drivers
from anlin.hub.console.tests.world import SignIn, World
from anlin.hub.devices.models import Device
from anlin.hub.setup.drivers import DRIVERS, Ask, Shape, family
from anlin.hub.setup.next_steps import WITH_STEPS
from anlin.hub.setup.tests.test_pages import filled, saved
from anlin.wire.wiegand import FORMATS

pytestmark = pytest.mark.django_db(databases=["default", "events"])

BY_THE_EDGE = {"media", "camera"}
"""What no installer sets: the edge adds them to each device's settings."""

TAKEN: dict[str, dict[str, set[str]]] = {
    "camera": {"": {"point", *(field.name for field in fields(Configure))}},
    "face_terminal": {"": set(face_terminal._SETTINGS)},
    "modbus": {
        "": set(modbus._SETTINGS),
        "inputs": set(modbus._INPUT_SETTINGS),
        "outputs": set(modbus._OUTPUT_SETTINGS),
    },
    "mqtt_gate": {"": set(mqtt_gate._SETTINGS)},
    "osdp": {"": {"line", "baud", "readers", "media"}, "readers": set(osdp._WIRING)},
    "uhppote": {
        "": set(_uhppote_settings._SETTINGS),
        "doors": set(_uhppote_settings._DOOR_SETTINGS),
    },
}
"""What each driver takes, by its own lists: of the device, and of each of its rows."""


def test_no_driver_is_without_a_form_and_without_next_steps() -> None:
    assert set(drivers()) == set(DRIVERS) == set(TAKEN) == WITH_STEPS


@pytest.mark.parametrize("driver", sorted(TAKEN))
def test_a_form_asks_for_every_setting_that_its_driver_takes_and_for_no_other(driver: str) -> None:
    form, taken = DRIVERS[driver], TAKEN[driver]
    asked = {ask.setting for ask in form.fields} | {rows.setting for rows in form.rows}
    assert asked == taken[""] - BY_THE_EDGE
    for rows in form.rows:
        columns = {ask.setting for ask in rows.columns}
        assert columns == taken.get(rows.setting, {""})


def _asks(driver: str) -> list[Ask]:
    form = DRIVERS[driver]
    return [*form.fields, *(ask for rows in form.rows for ask in rows.columns)]


@pytest.mark.parametrize("driver", sorted(DRIVERS))
def test_whatever_is_folded_away_says_when_it_is_needed(driver: str) -> None:
    for ask in _asks(driver):
        assert not ask.is_advanced or ask.help, ask.setting


def test_card_formats_are_those_that_are_read() -> None:
    formats = next(ask for ask in _asks("osdp") if ask.setting == "card_format")
    assert tuple(value for value, _word in formats.choices) == FORMATS


@pytest.mark.parametrize("language", ["en", "zh-hans"])
def test_a_family_has_a_name_of_its_own_in_both_languages(language: str) -> None:
    with translation.override(language):
        names = {driver: str(family(driver)) for driver in drivers()}
    assert len(set(names.values())) == len(names)
    assert not set(names) & set(names.values())
    if language != "en":
        assert all(any("一" <= char <= "鿿" for char in name) for name in names.values())


@pytest.mark.parametrize(("language", "word"), [("en", "Camera"), ("zh-hans", "摄像机")])
def test_the_page_of_devices_names_the_family_not_the_driver(
    world: World, sign_in: SignIn, language: str, word: str
) -> None:
    page = sign_in("installer", language).get(reverse("devices:nodes")).content.decode()
    assert f'<td class="small">{word}</td>' in page
    assert ">camera<" not in page


LINE = "tcp://192.0.2.7:4001"


def _line(world: World, **given: Any) -> dict[str, Any]:
    reader = {"key": "2", "point": world.points["east"].pk}
    return {
        "name": "东门读卡器",
        "line": LINE,
        **{f"readers-0-{name}": value for name, value in (reader | given).items()},
    }


def test_every_setting_of_a_reader_is_kept_as_it_was_typed(world: World, sign_in: SignIn) -> None:
    installer = sign_in("installer")
    url = reverse("setup:new_device") + "?driver=osdp"
    given = _line(
        world,
        portal=world.portals["east"].pk,
        fire_input="2",
        inverted_inputs="2，0",
        card_format="wiegand34",
        reversed="on",
        right_aligned="on",
        answers_status=None,
        key_name="from-old-edge",
    )
    page = filled(installer, url, **given)
    assert page["readers-1-answers_status"] == "on", "an empty row shows what would hold"
    saved(installer, url, **given)
    device = Device.objects.get(driver="osdp")
    assert device.settings["readers"]["2"] == {
        "point": world.points["east"].pk,
        "portal": world.portals["east"].pk,
        "fire_input": 2,
        "inverted_inputs": [2, 0],
        "card_format": "wiegand34",
        "reversed": True,
        "right_aligned": True,
        "answers_status": False,
        "key_name": "from-old-edge",
    }
    before = dict(device.settings)
    own = reverse("setup:device", args=[device.pk])
    assert '<details class="advanced" open>' in installer.get(own).content.decode()
    saved(installer, own)
    device.refresh_from_db()
    assert device.settings == before


@pytest.mark.parametrize("text", ["two", "1 -", "²", "12345678"])
def test_an_input_that_is_no_number_is_told_beside_its_field(
    world: World, sign_in: SignIn, text: str
) -> None:
    installer, url = sign_in("installer"), reverse("setup:new_device") + "?driver=osdp"
    answer = installer.post(url, filled(installer, url, **_line(world, inverted_inputs=text)))
    assert answer.status_code == 422
    assert "is not a number" in html.unescape(answer.content.decode())
    assert not Device.objects.filter(driver="osdp").exists()


def test_after_a_line_is_saved_the_page_says_how_each_reader_gets_its_key(
    world: World, sign_in: SignIn
) -> None:
    installer = sign_in("installer")
    url = reverse("setup:new_device") + "?driver=osdp"
    clear = {
        "readers-1-key": "3",
        "readers-1-point": world.points["west"].pk,
        "readers-1-secure": None,
    }
    after = saved(installer, url, **_line(world), **clear)
    device = Device.objects.get(driver="osdp")
    page = html.unescape(installer.get(after).content.decode())
    assert "What comes next" in page
    assert f"anlin osdp commission HOME {device.pk} 2" in page
    assert f"{device.pk} 3" not in page, "a reader in clear text gets no key"
    assert "clear text" in page


NEXT: dict[str, tuple[dict[str, Any], str]] = {
    "camera": (
        {"source": "usb:0", "task": "faces", "point": "{east}"},
        "Hold a photograph of that face",
    ),
    "face_terminal": (
        {"point": "{east}", "listen": "0.0.0.0:8090"},
        "http://EDGE:8090/terminal/v1/",
    ),
    "modbus": (
        {"address": "192.0.2.20:502", "outputs-0-key": "{lane}", "outputs-0-coil": "0"},
        "drive over the loop",
    ),
    "mqtt_gate": (
        {"outputs-0-key": "lock", "outputs-0-value": "{lane}"},
        "Show a card at each reader",
    ),
    "osdp": (
        {"line": LINE, "readers-0-key": "0", "readers-0-point": "{east}"},
        "anlin osdp commission",
    ),
    "uhppote": (
        {
            "serial": "405419896",
            "address": "192.0.2.22",
            "bind": "192.0.2.2",
            "doors-0-key": "1",
            "doors-0-portal": "{lane}",
            "doors-0-entry": "{east}",
        },
        "a network of their own",
    ),
}


@pytest.mark.parametrize("driver", sorted(DRIVERS))
def test_after_each_save_the_page_says_what_comes_next(
    world: World, sign_in: SignIn, driver: str
) -> None:
    settings, said = NEXT[driver]
    places = {"{east}": world.points["east"].pk, "{lane}": world.portals["lane"].pk}
    given = {name: places.get(value, value) for name, value in settings.items()}
    installer, url = sign_in("installer"), reverse("setup:new_device") + f"?driver={driver}"
    answer = installer.post(url, filled(installer, url, name="新设备", **given), follow=True)
    assert answer.status_code == 200, html.unescape(answer.content.decode())
    page = html.unescape(answer.content.decode())
    assert "What comes next" in page
    assert said in page
    device = Device.objects.get(name="新设备")
    assert "Saved." in page or device.pk in page


def test_shapes_of_fields_are_all_in_use() -> None:
    used = {ask.shape for driver in DRIVERS for ask in _asks(driver)}
    assert used == set(Shape)
