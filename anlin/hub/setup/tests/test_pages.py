"""An installer sets up a whole site on pages alone, and is told what is wrong where it is wrong."""

from __future__ import annotations

import html
import re
from datetime import UTC, datetime
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from anlin.core.access import NORMAL, Presentation, Reason, decide
from anlin.core.entities import Method
from anlin.hub.access.models import (
    AccessPoint,
    AccessRule,
    Area,
    HolidayTable,
    Portal,
    Schedule,
)
from anlin.hub.access.policy import community_group, compile_changes
from anlin.hub.access.tests.test_policy import replica
from anlin.hub.audit.models import Change
from anlin.hub.console.tests.world import BY, SignIn, World
from anlin.hub.devices.models import Device, Node
from anlin.hub.people import services as people
from anlin.hub.people.models import Holder, Role, Unit

pytestmark = pytest.mark.django_db(databases=["default", "events"])


def filled(client: Client, url: str, **given: Any) -> dict[str, Any]:
    """Give what a browser would post: every field as the page shows it, and what was typed."""
    page = client.get(url)
    assert page.status_code == 200, url
    found: dict[str, Any] = {}
    forms = [page.context["form"], *(made for _rows, made in page.context.get("sets") or [])]
    forms += [page.context["periods"]] if page.context.get("periods") is not None else []
    for form in forms:
        parts = [form.management_form, *form] if hasattr(form, "management_form") else [form]
        for part in parts:
            for field in part:
                value = field.value()
                if value is not None and value is not False and value != "":
                    value = getattr(value, "pk", value)
                    found[field.html_name] = "on" if value is True else value
    found.update(given)
    return {name: value for name, value in found.items() if value is not None}


def saved(client: Client, url: str, **given: Any) -> str:
    answer = client.post(url, filled(client, url, **given))
    if answer.status_code == 422:
        faults = re.findall(
            r'class="fault".*?</span>|class="note error".*?</p>', answer.content.decode()
        )
        raise AssertionError(faults)
    assert answer.status_code == 302, answer.status_code
    return str(answer["Location"])


def test_an_installer_comes_from_nothing_to_a_working_door_on_pages_alone(db: None) -> None:
    community = people.create_community("新村", BY)
    staff, _ = people.add_staff(community, "installer-new", Role.INSTALLER, BY)
    manager, _ = people.add_staff(community, "meng-new", Role.MANAGER, BY)
    client = Client(headers={"accept-language": "en"})
    client.force_login(staff.user)
    home = client.get(reverse("setup:home")).content.decode()
    assert "Add an edge and type its code" in home
    # Without an edge nothing can be wired: the page leads there first.
    assert client.get(reverse("setup:new_portal"))["Location"] == reverse("devices:create")
    client.post(reverse("devices:create"), {"name": "东门机房"})
    node = Node.objects.get(community=community)
    saved(client, reverse("setup:homes"), building="1栋", codes="1-101 1-102\n1-201", cars=1)
    assert Unit.objects.filter(building__community=community).count() == 3
    back = saved(client, reverse("setup:new_portal") + "?template=door", name="1栋单元门")
    portal = Portal.objects.get(community=community)
    assert back == reverse("setup:portal", args=[portal.pk])
    for way in ("entry", "exit"):
        saved(client, reverse("setup:new_point", args=[portal.pk]) + f"?direction={way}")
    entry = AccessPoint.objects.get(portal=portal, direction="entry")
    leave = AccessPoint.objects.get(portal=portal, direction="exit")
    assert entry.name == "1栋单元门 in"
    url = reverse("setup:new_device") + "?driver=mqtt_gate"
    rows = {
        "readers-0-key": "in",
        "readers-0-value": entry.pk,
        "outputs-0-key": "lock",
        "outputs-0-value": portal.pk,
        "inputs-0-key": "door",
        "inputs-0-value": portal.pk,
        "buttons-0-key": "exit",
        "buttons-0-value": leave.pk,
    }
    answer = client.post(url, filled(client, url, name="控制器", **rows))
    assert answer.status_code == 200
    assert answer["Cache-Control"] == "no-store"
    device = Device.objects.get(node=node)
    assert device.settings == {
        "readers": {"in": entry.pk},
        "inputs": {"door": portal.pk},
        "outputs": {"lock": portal.pk},
        "buttons": {"exit": leave.pk},
    }
    assert "No rule leads here" in client.get(reverse("setup:home")).content.decode()
    groups = [community_group(community.pk)]
    saved(client, reverse("setup:new_rule"), name="住户", groups=groups, points=[entry.pk])
    client.force_login(manager.user)
    given = {"name": "林安", "kind": "resident", "unit": "1-101", "residency": "owner"}
    assert client.post(reverse("people:register"), given).status_code == 302
    lin = Holder.objects.get(community=community, name="林安")
    client.post(reverse("people:add_card", args=[lin.pk]), {"number": "04A1B2C3"})
    now = datetime.now(UTC)
    shown = Presentation(entry.pk, Method.CARD, "04A1B2C3", now)
    assert decide(replica(node), shown, NORMAL, now).reason is Reason.GRANTED
    assert "Nothing stands out" in client.get(reverse("setup:home")).content.decode()
    assert compile_changes(community) == 0


@pytest.mark.parametrize("template", ["door", "turnstile", "lobby", "lane"])
def test_each_kind_begins_with_timers_that_the_rules_accept(
    world: World, sign_in: SignIn, template: str
) -> None:
    installer = sign_in("installer")
    url = reverse("setup:new_portal") + f"?template={template}"
    saved(installer, url, name=f"新{template}")
    made = Portal.objects.get(name=f"新{template}")
    assert made.interlock == ("lobby-1" if template == "lobby" else "")
    for way in ("entry", "exit"):
        saved(installer, reverse("setup:new_point", args=[made.pk]) + f"?direction={way}")
    assert made.points.count() == 2


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"on_power_loss": "fail_secure"}, "A way out must open without power"),
        ({"exit_button": "shunt"}, "nothing else opens the door from inside"),
        ({"grant_s": "0"}, "not within 1 to 120"),
        ({"grant_s": "soon"}, "Type a number of seconds."),
        ({"grant_s": "nan"}, "Type a number of seconds."),
        ({"prealarm_s": "900"}, "longer than the 30.0 s it may stand open"),
        ({"name": ""}, "Give it a name"),
        ({"node": ""}, "Choose the edge"),
        ({"kind": "hatch"}, "hatch is not one of the available choices"),
    ],
)
def test_a_fault_stands_in_words_beside_its_field_and_nothing_changes(
    world: World, sign_in: SignIn, given: dict[str, str], said: str
) -> None:
    installer, portal = sign_in("installer"), world.portals["door1"]
    url = reverse("setup:portal", args=[portal.pk])
    answer = installer.post(url, filled(installer, url, **given))
    assert answer.status_code == 422
    assert said in html.unescape(answer.content.decode())
    field = next(iter(given))
    assert answer.context["form"].errors.keys() == {field}
    fresh = Portal.objects.get(pk=portal.pk)
    assert (fresh.grant_s, fresh.on_power_loss, fresh.name) == (5.0, "fail_safe", "1 号楼")


def test_a_portal_says_its_faults_in_chinese_too(world: World, sign_in: SignIn) -> None:
    installer, portal = sign_in("installer", "zh-hans"), world.portals["door1"]
    url = reverse("setup:portal", args=[portal.pk])
    answer = installer.post(url, filled(installer, url, on_power_loss="fail_secure"))
    assert "疏散通道" in answer.content.decode()


def test_saving_a_portal_unchanged_changes_nothing(world: World, sign_in: SignIn) -> None:
    installer = sign_in("installer")
    revision = world.community.policy_revision
    for portal in world.portals.values():
        saved(installer, reverse("setup:portal", args=[portal.pk]))
        for point in portal.points.all():
            saved(installer, reverse("setup:point", args=[point.pk]))
    for rule in AccessRule.objects.filter(community=world.community):
        saved(installer, reverse("setup:rule", args=[rule.pk]))
    world.community.refresh_from_db()
    assert world.community.policy_revision == revision


def test_an_access_point_that_is_unfair_or_unreachable_is_refused_on_the_page(
    world: World, sign_in: SignIn
) -> None:
    installer, point = sign_in("installer"), world.points["east"]
    url = reverse("setup:point", args=[point.pk])
    for given, said in (
        ({"methods": ["face"]}, "at least two means"),
        ({"methods": ["face", "phone"]}, "neither face nor phone"),
        ({"methods": ["card", "face"], "level": "3"}, "Everybody would be refused"),
        ({"persons": "0"}, "greater than or equal to 1"),
    ):
        answer = installer.post(url, filled(installer, url, **given))
        assert answer.status_code == 422
        assert said in html.unescape(answer.content.decode())
    assert AccessPoint.objects.get(pk=point.pk).methods == ["card", "qr", "face"]


def test_a_schedule_is_typed_as_times_and_drawn_as_a_week(world: World, sign_in: SignIn) -> None:
    installer = sign_in("installer")
    saved(installer, reverse("setup:new_holidays"), name="春节", dates="2027-02-06..2027-02-08")
    table = HolidayTable.objects.get()
    assert table.dates == ["2027-02-06", "2027-02-07", "2027-02-08"]
    given = {
        "form-0-start": "22:00",
        "form-0-end": "06:00",
        "form-0-days": ["7"],
        "form-1-start": "0:00",
        "form-1-end": "24:00",
        "form-1-days": ["3"],
        "special": "2027-05-01 10:00-12:00，14:00-16:00\n2027-05-02",
        "holidays": table.pk,
        "holiday_periods": "08:00-20:00",
    }
    url = reverse("setup:new_schedule")
    part = installer.post(url + "?preview=1", filled(installer, url, **given))
    assert part.content.decode().count('class="on"') == 4
    assert not Schedule.objects.exists()
    saved(installer, url, name="值班", **given)
    made = Schedule.objects.get()
    assert made.weekly == [
        {"start_min": 1320, "end_min": 360, "days": [7]},
        {"start_min": 0, "end_min": 1440, "days": [3]},
    ]
    assert made.special == [
        {
            "on": "2027-05-01",
            "periods": [{"start_min": 600, "end_min": 720}, {"start_min": 840, "end_min": 960}],
        },
        {"on": "2027-05-02", "periods": []},
    ]
    special = {day.on.isoformat() for day in replica(world.node).schedules[made.pk].special}
    assert special == {"2027-05-01", "2027-05-02", *table.dates}
    before = made.weekly, made.special, made.holiday_periods
    saved(installer, reverse("setup:schedule", args=[made.pk]))
    made.refresh_from_db()
    assert (made.weekly, made.special, made.holiday_periods) == before
    page = installer.get(reverse("setup:times")).content.decode()
    assert "Holidays by the table 春节" in page
    answer = installer.post(reverse("setup:remove_holidays", args=[table.pk]), follow=True)
    assert "still used by: 值班" in answer.content.decode()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"form-0-start": "8", "form-0-end": "12:00", "form-0-days": ["1"]}, "not a time of day"),
        ({"form-0-start": "08:00", "form-0-end": "25:00", "form-0-days": ["1"]}, "25:00"),
        ({"form-0-start": "08:00", "form-0-end": "08:00", "form-0-days": ["1"]}, "begins and ends"),
        ({"form-0-start": "08:00", "form-0-end": "12:00"}, "Choose the days."),
        ({"special": "1.5.2027 10:00-12:00"}, "1.5.2027 is not a date"),
        ({"special": "2027-05-01 morning"}, "morning is not a span"),
        ({"special": "2027-05-01\n2027-05-01"}, "there twice"),
        ({"holiday_periods": "10-12"}, "not a span"),
    ],
)
def test_a_time_that_is_none_is_told_which(
    world: World, sign_in: SignIn, given: dict[str, Any], said: str
) -> None:
    installer, url = sign_in("installer"), reverse("setup:new_schedule")
    answer = installer.post(url, filled(installer, url, name="x", **given))
    assert answer.status_code == 422
    assert said in html.unescape(answer.content.decode())
    assert not Schedule.objects.exists()


def test_a_car_park_is_set_up_and_given_up_again(world: World, sign_in: SignIn) -> None:
    installer = sign_in("installer")
    saved(
        installer,
        reverse("setup:new_area"),
        name="车场",
        capacity="120",
        anti_passback="timed",
        anti_passback_m="5",
        is_parking="on",
        outsiders="admit",
        stay_h="2",
        emergency_enters="on",
    )
    area = Area.objects.get(name="车场")
    assert area.anti_passback_s == 300
    assert area.parking.stay_s == 7200
    url = reverse("setup:area", args=[area.pk])
    for given, said in (
        ({"outsiders": "refuse", "residents_enter": None}, "nobody could park here"),
        ({"stay_h": "9999"}, "not within"),
        ({"anti_passback_m": "0"}, "not within"),
    ):
        answer = installer.post(url, filled(installer, url, **given))
        assert answer.status_code == 422, given
        assert said in answer.content.decode()
    area.refresh_from_db()
    assert (area.anti_passback_s, area.parking.stay_s) == (300, 7200)
    page = installer.get(reverse("setup:areas")).content.decode()
    assert "nobody is ever counted here" in page
    saved(installer, url, is_parking=None)
    assert area.pk not in replica(world.node).parking


def test_rules_read_as_sentences_and_as_a_table(world: World, sign_in: SignIn) -> None:
    installer = sign_in("installer")
    page = html.unescape(installer.get(reverse("setup:rules")).content.decode())
    assert "Visitors may pass 东门入口, 西门入口, 车行道入口 at all times." in page
    committee = sign_in("committee").get(reverse("setup:matrix")).content.decode()
    assert "东门入口" in committee
    assert "东门出口" not in committee
    rule = AccessRule.objects.get(name="访客通行")
    installer.post(reverse("setup:remove_rule", args=[rule.pk]))
    assert rule.pk not in replica(world.node).rules
    assert Change.objects.filter(action="remove", model="access.accessrule").exists()


def test_what_a_driver_refuses_is_said_in_its_own_words(world: World, sign_in: SignIn) -> None:
    installer = sign_in("installer")
    before = Device.objects.count()
    url = reverse("setup:new_device") + "?driver=modbus"
    place = {"outputs-0-key": world.portals["lane"].pk, "outputs-0-coil": "0"}
    good = {"name": "道闸", "address": "192.0.2.20:502", **place}
    for given, said in (
        ({"address": "192.0.2.20"}, "host:port"),
        ({"outputs-0-lower_coil": "1"}, "an arm does not come down blind"),
        (
            {
                "outputs-0-coil": "0",
                "outputs-1-key": world.portals["east"].pk,
                "outputs-1-coil": "0",
            },
            "uses a coil twice",
        ),
        ({"inputs-0-kind": "loop"}, "Say which one."),
    ):
        answer = installer.post(url, filled(installer, url, **(good | given)))
        assert answer.status_code == 422, given
        assert said in html.unescape(answer.content.decode())
    assert Device.objects.count() == before
    loops = {
        "inputs-0-key": "0",
        "inputs-0-kind": "loop",
        "inputs-0-portal": world.portals["lane"].pk,
        "inputs-1-key": "1",
        "inputs-1-kind": "under_loop",
        "inputs-1-portal": world.portals["lane"].pk,
        "outputs-0-lower_coil": "1",
    }
    saved(installer, url, **good, **loops)
    device = Device.objects.get(name="道闸")
    assert device.settings["outputs"] == {world.portals["lane"].pk: {"coil": 0, "lower_coil": 1}}
    before_settings = dict(device.settings)
    saved(installer, reverse("setup:device", args=[device.pk]))
    device.refresh_from_db()
    assert device.settings == before_settings


def test_a_camera_keeps_its_password_without_showing_it(world: World, sign_in: SignIn) -> None:
    installer = sign_in("installer")
    source = "rtsp://viewer:s3cret-word@192.0.2.30/stream1"
    url = reverse("setup:new_device") + "?driver=camera"
    entry = world.points["east"].pk
    saved(installer, url, name="东门", source=source, task="faces", point=entry)
    camera = Device.objects.get(name="东门")
    url = reverse("setup:device", args=[camera.pk])
    for shown in (url, url + "?json=1"):
        assert "s3cret-word" not in installer.get(shown).content.decode()
        saved(installer, shown)
        camera.refresh_from_db()
        assert camera.settings["source"] == source
    moved = filled(installer, url, source="rtsp://viewer:••••••@192.0.2.31/stream1")
    installer.post(url, moved)
    camera.refresh_from_db()
    assert camera.settings["source"] == "rtsp://viewer:s3cret-word@192.0.2.31/stream1"
    assert "s3cret-word" not in str([c.after for c in Change.objects.all()])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "This is not JSON"),
        ("[]", "not a JSON object"),
        ('{"colour": 1, "point": "x"}', "The driver refuses this"),
        ('{"source": "usb:0", "task": "faces", "point": "ap_nowhere"}', "ap_nowhere is not driven"),
    ],
)
def test_settings_as_json_are_checked_like_any_other(
    world: World, sign_in: SignIn, text: str, said: str
) -> None:
    installer = sign_in("installer")
    url = reverse("setup:new_device") + "?driver=camera&json=1"
    answer = installer.post(url, filled(installer, url, name="x", json=text))
    assert answer.status_code == 422
    assert said in html.unescape(answer.content.decode())


def test_a_device_is_removed_and_a_new_password_is_shown_once(
    world: World, sign_in: SignIn
) -> None:
    installer = sign_in("installer")
    url = reverse("setup:new_device") + "?driver=mqtt_gate"
    answer = installer.post(
        url,
        filled(
            installer,
            url,
            name="控制器",
            **{"outputs-0-key": "lock", "outputs-0-value": world.portals["east"].pk},
        ),
    )
    assert answer.status_code == 200
    device = Device.objects.get(name="控制器")
    again = installer.post(reverse("setup:device_password", args=[device.pk]))
    assert again["Cache-Control"] == "no-store"
    assert device.pk in again.content.decode()
    page = installer.get(reverse("setup:portal", args=[world.portals["east"].pk])).content.decode()
    assert "控制器" in page
    installer.post(reverse("setup:remove_device", args=[device.pk]))
    assert device.pk not in replica(world.node).devices
    none = installer.post(reverse("setup:device_password", args=[world.camera.pk]), follow=True)
    assert "does not use MQTT" in none.content.decode()


def test_a_pin_is_shown_once_when_drawn_and_never_when_chosen(
    world: World, sign_in: SignIn
) -> None:
    meng, lin = sign_in("meng"), world.people["lin"]
    url = reverse("people:set_pin", args=[lin.pk])
    answer = meng.post(url, {"digits": ""})
    found = re.search(r'class="code num">(\d{6})<', answer.content.decode())
    assert found
    assert answer["Cache-Control"] == "no-store"
    page = meng.get(reverse("people:holder", args=[lin.pk])).content.decode()
    assert found[1] not in page
    assert "Set another PIN" in page
    assert "240817" not in meng.post(url, {"digits": "240817"}).content.decode()
    for digits, said in (("1234", "6 to 8 digits"), ("123456", "run of digits")):
        refused = meng.post(url, {"digits": digits})
        assert refused.status_code == 422
        assert said in refused.content.decode()
        assert f'value="{digits}"' not in refused.content.decode()


def test_flags_of_a_holder_are_edited_and_shown(world: World, sign_in: SignIn) -> None:
    meng, lin = sign_in("meng"), world.people["lin"]
    url = reverse("people:edit", args=[lin.pk])
    saved(meng, url, needs_time="on", can_escort="on")
    assert replica(world.node).holders[lin.pk].needs_time
    page = meng.get(reverse("people:holder", args=[lin.pk])).content.decode()
    assert "needs time" in page
    answer = meng.post(url, filled(meng, url, needs_escort="on"))
    assert "be the escort of others" in answer.content.decode()


def test_a_visitor_to_a_home_finds_only_the_way_there(world: World, sign_in: SignIn) -> None:
    building = world.community.buildings.get()
    Portal.objects.filter(pk=world.portals["door1"].pk).update(building=building)
    other = people.add_building(world.community, "2 号楼", BY)
    Portal.objects.filter(pk=world.portals["door2"].pk).update(building=other)
    guo = sign_in("guo")
    given = {"name": "赵来", "lasts": "2h", "uses": "1", "host": "1-101"}
    assert guo.post(reverse("access:issue"), given).status_code == 302
    zhao = Holder.objects.get(name="赵来")
    points = replica(world.node).holders[zhao.pk].points
    assert world.points["door1"].pk in points
    assert world.points["door2"].pk not in points
    answer = guo.post(reverse("access:issue"), given | {"host": "9-999"})
    assert "There is no home 9-999" in answer.content.decode()
