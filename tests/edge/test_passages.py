"""What a node does with areas, PINs, pairs of persons, lanes and devices that decide alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from anlin.core import device, pin
from anlin.core.access import Evidence, Reason
from anlin.core.device import (
    ArmPosition,
    Crossed,
    Decided,
    Loop,
    LoopPlace,
    Read,
    Release,
    Secure,
    Show,
)
from anlin.core.entities import (
    AntiPassback,
    Area,
    Credential,
    Direction,
    Entity,
    Household,
    Method,
    Outsiders,
    Parking,
    PassUse,
    WatchEntry,
)
from anlin.core.event import EventKind
from anlin.core.sync import CommandKind
from anlin.testing import cast
from anlin.testing.site import Site, only

Make = Callable[..., Site]
K = EventKind
SECRET = b"0" * 32
LIN_PIN = "204816"


def reasons(site: Site) -> list[str]:
    return [str(e.data["reason"]) for e in site.events(K.ACCESS_GRANTED, K.ACCESS_DENIED)]


def released(told: list[device.Command]) -> list[str]:
    return [release.portal for release in only(Release, told)]


# PINs

PIN_CREDENTIAL = Credential("lin-pin", "lin", Method.PIN, pin.key_of(SECRET, LIN_PIN))
PIN_GATE = replace(cast.GATE_IN, methods=(*cast.GATE_IN.methods, Method.PIN))


@pytest.fixture
def keypad(make_site: Make) -> Site:
    site = make_site(PIN_GATE, PIN_CREDENTIAL)
    site.engine.set_pin_secret(SECRET)
    return site


def typed(site: Site, digits: str) -> Read:
    return Read("gate-in", Method.PIN, digits, site.origin())


async def test_a_pin_opens_and_stands_in_no_record(keypad: Site) -> None:
    assert released(await keypad.take(typed(keypad, LIN_PIN))) == ["gate"]
    (event,) = keypad.events(K.ACCESS_GRANTED)
    assert event.data["holder"] == "lin"
    assert LIN_PIN not in str(event.data)


async def test_a_duress_code_opens_the_same_way_and_calls_for_help(keypad: Site) -> None:
    usual = await keypad.take(typed(keypad, LIN_PIN))
    await keypad.tick(60)
    forced = await keypad.take(typed(keypad, pin.duress_of(LIN_PIN)))
    assert released(forced) == released(usual) == ["gate"]
    assert only(Show, forced) == only(Show, usual)
    usual_event, forced_event = keypad.events(K.ACCESS_GRANTED)
    hidden = {"release"}
    assert {k: v for k, v in forced_event.data.items() if k not in hidden} == {
        k: v for k, v in usual_event.data.items() if k not in hidden
    }
    (duress,) = keypad.events(K.DURESS)
    assert (duress.subject, duress.data["holder"]) == ("gate-in", "lin")


async def test_the_fifth_wrong_pin_closes_the_keypad_for_five_minutes_also_over_a_restart(
    keypad: Site,
) -> None:
    for _ in range(5):
        await keypad.take(typed(keypad, "975310"))
    assert keypad.events(K.REPEATED_DENIALS)
    assert released(await keypad.take(typed(keypad, LIN_PIN))) == []
    await keypad.restart()
    keypad.engine.set_pin_secret(SECRET)
    await keypad.tick(299)
    assert released(await keypad.take(typed(keypad, LIN_PIN))) == []
    assert released(await keypad.take(keypad.card())) == ["gate"], "the card still opens"
    await keypad.tick(2)
    assert released(await keypad.take(typed(keypad, LIN_PIN))) == ["gate"]
    assert reasons(keypad)[5:7] == ["pin_locked", "pin_locked"]


async def test_without_the_communitys_secret_every_pin_is_wrong(make_site: Make) -> None:
    site = make_site(PIN_GATE, PIN_CREDENTIAL)
    assert released(await site.take(typed(site, LIN_PIN))) == []
    (event,) = site.events(K.ACCESS_DENIED)
    assert event.data["reason"] == "invalid_pin"
    assert "secret" in event.data["fault"]


# Areas

YARD = Area("yard", "院内", AntiPassback.HARD)
IN = replace(cast.GATE_IN, area_to="yard")
OUT = replace(cast.GATE_OUT, area_from="yard", methods=(Method.CARD,))


async def walk(site: Site, read: Read, portal: str = "gate") -> list[device.Command]:
    """Show something and, where the gate opens, walk through."""
    told = await site.take(read)
    if released(told):
        await site.take(site.contact("open", portal), site.contact("closed", portal))
    return told


async def test_who_is_inside_does_not_come_in_again_until_they_have_left(make_site: Make) -> None:
    site = make_site(YARD, IN, OUT)
    await walk(site, site.card())
    assert released(await walk(site, site.card())) == []
    assert reasons(site)[-1] == "anti_passback"
    await walk(site, site.card(point="gate-out"))
    assert released(await walk(site, site.card())) == ["gate"]


async def test_whoever_did_not_walk_through_is_not_inside(make_site: Make) -> None:
    site = make_site(YARD, IN, OUT)
    await site.take(site.card())
    await site.tick(60)
    assert released(await walk(site, site.card())) == ["gate"]


async def test_places_outlive_a_restart_and_a_guard_forgives_them(make_site: Make) -> None:
    site = make_site(YARD, IN, OUT)
    await walk(site, site.card())
    await site.tick(1)
    await site.restart()
    assert released(await walk(site, site.card())) == []
    await site.obey(CommandKind.FORGIVE, "lin")
    assert released(await walk(site, site.card())) == ["gate"]


async def test_soft_anti_passback_only_takes_note(make_site: Make) -> None:
    site = make_site(replace(YARD, anti_passback=AntiPassback.SOFT), IN, OUT)
    await walk(site, site.card())
    assert released(await walk(site, site.card())) == ["gate"]
    (noted,) = site.events(K.ANTI_PASSBACK_NOTED)
    assert (noted.data["holder"], noted.data["area"]) == ("lin", "yard")


async def test_a_full_area_admits_the_next_when_one_has_left(make_site: Make) -> None:
    site = make_site(replace(YARD, anti_passback=AntiPassback.OFF, capacity=1), IN, OUT)
    await walk(site, site.card())
    assert released(await walk(site, site.card(cast.WANG_CARD.key))) == []
    assert reasons(site)[-1] == "area_full"
    await walk(site, site.card(point="gate-out"))
    assert released(await walk(site, site.card(cast.WANG_CARD.key))) == ["gate"]


async def test_of_an_airlock_only_one_door_opens_at_a_time(make_site: Make) -> None:
    site = make_site(
        replace(cast.GATE, interlock="lock"),
        replace(cast.UNIT_DOOR, interlock="lock"),
        replace(cast.UNIT_IN, level=1),
    )
    await site.take(site.card(), site.contact("open"))
    assert released(await site.take(site.card(point=cast.UNIT_IN.id))) == []
    assert reasons(site)[-1] == "interlocked"
    assert "gate" in str(site.events(K.ACCESS_DENIED)[-1].data["checks"])
    await site.take(site.contact("closed"))
    await site.tick(60)
    assert released(await site.take(site.card(point=cast.UNIT_IN.id))) == ["door-1"]


# More than one person

STRONGROOM = replace(cast.GATE_IN, persons=2)


async def test_two_persons_open_what_one_does_not(make_site: Make) -> None:
    site = make_site(STRONGROOM)
    assert released(await site.take(site.card())) == []
    assert released(await site.take(site.card())) == [], "the same one twice is one"
    assert released(await site.take(site.card(cast.WANG_CARD.key))) == ["gate"]
    assert reasons(site) == ["second_person_required", "second_person_required", "granted"]


async def test_a_third_person_needs_a_companion_of_their_own(make_site: Make) -> None:
    meng = Credential("meng-plain", "meng", Method.CARD, "0A0A0A0A")
    site = make_site(STRONGROOM, meng, replace(cast.MENG, memberships=cast.LIN.memberships))
    await site.take(site.card())
    assert released(await site.take(site.card(cast.WANG_CARD.key))) == ["gate"]
    assert released(await site.take(site.card("0A0A0A0A"))) == []
    assert reasons(site)[-1] == "second_person_required"


async def test_a_beam_that_sees_somebody_before_the_contact_makes_no_forced_door(
    site: Site,
) -> None:
    await site.take(site.contact("closed"), site.card())
    await site.take(Crossed("gate", Direction.ENTRY, 1, site.origin()), site.contact("open"))
    await site.tick(1)
    assert not site.events(K.DOOR_FORCED, K.TAILGATING)
    await site.take(site.contact("closed"), site.contact("open"))
    await site.tick(1)
    assert site.events(K.DOOR_FORCED), "but only once"


async def test_the_second_person_comes_too_late(make_site: Make) -> None:
    site = make_site(STRONGROOM)
    await site.take(site.card())
    await site.tick(15.1)
    assert released(await site.take(site.card(cast.WANG_CARD.key))) == []


async def test_a_contractor_comes_in_with_an_escort_and_both_are_counted(make_site: Make) -> None:
    contractor = replace(cast.ZHAO, needs_escort=True, memberships=cast.LIN.memberships)
    card = Credential("zhao-card", "zhao", Method.CARD, "0C0FFEE0")
    site = make_site(contractor, card, replace(cast.LIN, can_escort=True))
    assert released(await site.take(site.card("0C0FFEE0"))) == []
    assert reasons(site) == ["escort_required"]
    await walk(site, site.card())
    assert released(await site.take(site.card("0C0FFEE0"))) == ["gate"]
    crossed = Crossed("gate", Direction.ENTRY, 1, site.origin())
    await site.take(crossed, replace(crossed, origin=site.origin()))
    assert not site.events(K.TAILGATING)


async def test_two_people_on_one_grant_are_tailgating_and_not_a_denial(site: Site) -> None:
    await site.take(site.card())
    await site.take(Crossed("gate", Direction.ENTRY, 2, site.origin()))
    (event,) = site.events(K.TAILGATING)
    assert (event.data["persons"], event.data["granted"]) == (2, 1)
    (taken,) = site.events(K.ACCESS_TAKEN)
    assert (taken.data["holder"], taken.data["point"]) == ("lin", "gate-in")


async def test_who_needs_time_gets_it(make_site: Make) -> None:
    site = make_site(replace(cast.LIN, needs_time=True))
    (release,) = only(Release, await site.take(site.card()))
    assert release.seconds == cast.GATE.extended_grant_s


# Passes, watch entries, phones, maintenance


async def test_a_pass_used_at_another_node_is_used_here(site: Site) -> None:
    leave = cast.zhao_pass(uses=1)
    site.engine.is_online = True
    site.change(PassUse(leave.id, {"node-2": 1}, leave.not_after))
    told = await site.take(Read("gate-in", Method.QR, cast.qr_text(leave), site.origin()))
    assert released(told) == []
    assert reasons(site) == ["pass_used"]


async def test_a_watch_entry_tells_and_shows_nothing_at_the_gate(site: Site) -> None:
    usual = await site.take(site.card())
    await site.tick(60)
    until = site.clock.now() + timedelta(hours=1)
    site.change(WatchEntry("w-1", Method.CARD, cast.LIN_CARD.key, until))
    watched = await site.take(site.card())
    assert only(Show, watched) == only(Show, usual)
    assert released(watched) == ["gate"]
    (hit,) = site.events(K.WATCH_HIT)
    assert hit.data["entry"] == "w-1"
    granted = site.events(K.ACCESS_GRANTED)[-1]
    assert "w-1" not in str(granted.data)
    await site.tick(3601)
    await site.take(site.card())
    assert len(site.events(K.WATCH_HIT)) == 1, "it ends by itself"


async def test_a_phone_opens_by_a_decision_like_any_other(make_site: Make) -> None:
    phone = Credential("lin-phone", "lin", Method.PHONE, "lin-phone")
    site = make_site(replace(cast.GATE_IN, methods=(*cast.GATE_IN.methods, Method.PHONE)), phone)
    told = await site.obey(CommandKind.PRESENT, "gate-in", data={"value": "lin-phone"})
    assert released(told) == ["gate"]
    told = await site.obey(CommandKind.PRESENT, "gate-in", data={"value": "nobody"})
    assert released(told) == []
    assert reasons(site) == ["granted", "credential_unknown"]


async def test_maintenance_raises_no_alarm_is_written_down_and_ends_by_itself(site: Site) -> None:
    until = site.ago(-120).isoformat()
    await site.obey(CommandKind.MAINTENANCE, "gate", data={"until": until})
    await site.take(site.contact("open"))
    await site.tick(60)
    assert not site.events(K.DOOR_FORCED, K.DOOR_HELD)
    await site.restart()
    await site.take(site.contact("open"))
    await site.tick(61)
    (started,) = site.events(K.MAINTENANCE_STARTED)
    assert started.data["by"] == "guo"
    assert site.events(K.MAINTENANCE_ENDED)
    await site.tick(31)
    assert site.events(K.DOOR_HELD), "and then the watch goes on"


@pytest.mark.parametrize("kind", [CommandKind.HOLD_UNLOCKED, CommandKind.MAINTENANCE])
@pytest.mark.parametrize("until", [None, "soon", "2026-11-21T08:00:00", "2020-01-01T00:00:00Z"])
async def test_what_must_end_by_itself_needs_an_end(
    site: Site, kind: CommandKind, until: str | None
) -> None:
    assert await site.obey(kind, "gate", data={"until": until}) == []
    (refused,) = site.events(K.COMMAND_REFUSED)
    assert "needs an end" in refused.data["rule"]


async def test_an_area_is_locked_down_at_all_its_portals(make_site: Make) -> None:
    site = make_site(YARD, IN, OUT)
    await site.obey(CommandKind.LOCKDOWN, "area:yard")
    assert [event.subject for event in site.events(K.LOCKDOWN_STARTED)] == ["gate"]
    assert released(await site.take(site.card())) == []
    assert released(await site.take(site.exit_button())) == ["gate"]
    await site.obey(CommandKind.RELEASE, "area:yard")
    assert site.events(K.COMMAND_REFUSED), "nobody opens an area"


# Lanes

PARK: tuple[Entity, ...] = (
    Area("park", "车场"),
    Parking("park"),
    replace(cast.LANE_IN, area_to="park"),
    Household("1-101", 1),
    replace(cast.LIN_PLATE, household="1-101"),
    Credential("lin-plate-2", "lin", Method.PLATE, "京B23456", household="1-101"),
)


def plate(site: Site, text: str = "京A12345") -> Read:
    return Read("lane-in", Method.PLATE, text, site.origin())


async def approach(site: Site, is_occupied: bool = True) -> list[device.Command]:
    return await site.take(Loop("lane", is_occupied, site.origin()))


async def under(site: Site, is_occupied: bool) -> list[device.Command]:
    return await site.take(Loop("lane", is_occupied, site.origin(), LoopPlace.UNDER))


async def drive_in(site: Site, text: str) -> list[device.Command]:
    """Drive over both loops with a plate; give what the arm was told on the reading."""
    await approach(site)
    told = await site.take(plate(site, text))
    await under(site, True)
    await approach(site, False)
    site.clock.advance(2)
    await under(site, False)
    return told


@pytest.fixture
def park(make_site: Make) -> Site:
    return make_site(*PARK)


async def test_a_car_passes_and_the_arm_comes_down_behind_it(park: Site) -> None:
    await under(park, False)
    await approach(park)
    assert released(await park.take(plate(park))) == ["lane"]
    assert only(Secure, await under(park, True)) == []
    assert only(Secure, await approach(park, False)) == []
    park.clock.advance(2)
    assert only(Secure, await under(park, False)) == [Secure("lane")]
    (taken,) = park.events(K.ACCESS_TAKEN)
    assert (taken.data["subject"], taken.data["area"]) == ("plate:京A12345", "park")


async def test_a_household_with_one_space_has_one_car_inside(park: Site) -> None:
    await under(park, False)
    await drive_in(park, "京A12345")
    assert released(await drive_in(park, "京B23456")) == []
    assert reasons(park)[-1] == "household_full"


async def test_the_same_plate_twice_inside_is_noted_or_refused_as_the_area_says(
    make_site: Make,
) -> None:
    soft = make_site(*PARK)
    await under(soft, False)
    await drive_in(soft, "京A12345")
    assert released(await drive_in(soft, "京A12345")) == ["lane"]
    assert soft.events(K.ANTI_PASSBACK_NOTED)
    hard = make_site(*PARK, Area("park", "车场", AntiPassback.HARD))
    await under(hard, False)
    await drive_in(hard, "京A12345")
    assert released(await drive_in(hard, "京A12345")) == []
    assert reasons(hard)[-1] == "vehicle_already_inside"


async def test_the_car_behind_is_followed_and_named_as_such(park: Site) -> None:
    await under(park, False)
    await drive_in(park, "京A12345")
    await approach(park)
    await under(park, True)
    await approach(park, False)
    park.clock.advance(2)
    await under(park, False)
    kinds = park.kinds()
    assert K.LANE_BYPASSED in kinds or K.VEHICLE_FOLLOWED in kinds
    assert len(park.events(K.ACCESS_TAKEN)) == 1


@pytest.mark.parametrize(
    ("parking", "text", "expected"),
    [
        (Parking("park"), "沪B88888", "credential_unknown"),
        (Parking("park", Outsiders.ADMIT), "沪B88888", "temporary_vehicle"),
        (Parking("park"), "京X1234应急", "emergency_vehicle"),
        (Parking("park", emergency_enters=False), "京X1234应急", "credential_unknown"),
        (Parking("park", residents_enter=False), "京A12345", "parking_next_door"),
    ],
)
async def test_the_communitys_own_parking_rule_decides(
    make_site: Make, parking: Parking, text: str, expected: str
) -> None:
    site = make_site(*PARK, parking)
    await under(site, False)
    await drive_in(site, text)
    assert reasons(site) == [expected]


async def test_a_plate_on_a_phone_opens_nothing(park: Site) -> None:
    await approach(park)
    held_up = Evidence(vehicle_present=False)
    told = await park.take(replace(plate(park), evidence=held_up))
    assert released(told) == []
    assert reasons(park) == ["vehicle_not_present"]


async def test_a_visitors_car_that_stays_too_long_is_told_once(make_site: Make) -> None:
    site = make_site(*PARK, Parking("park", stay_s=3600))
    await under(site, False)
    await drive_in(site, "京A12345")
    await site.tick(3590)
    assert not site.events(K.VEHICLE_OVERSTAYED)
    await site.tick(20)
    await site.tick(60)
    (event,) = site.events(K.VEHICLE_OVERSTAYED)
    assert (event.subject, event.data["value"]) == ("park", "京A12345")


async def test_an_arm_that_is_knocked_off_or_lifted_is_told(park: Site) -> None:
    await park.take(device.Arm("lane", ArmPosition.DOWN, park.origin()))
    await park.take(device.Arm("lane", ArmPosition.OFF, park.origin()))
    await park.take(device.Arm("lane", ArmPosition.DOWN, park.origin()))
    await park.take(device.Arm("lane", ArmPosition.UP, park.origin()))
    assert park.kinds() == [K.PORTAL_FOUND, K.ARM_OFF, K.ARM_RESTORED, K.ARM_RAISED]
    assert park.events()[0].data == {"contact": "closed", "state": "secured"}


async def test_fire_raises_the_arm_and_only_a_person_lowers_it(park: Site) -> None:
    await under(park, False)
    told = await park.take(device.FireInput("gate", True, park.origin()))
    assert "lane" in released(told)
    told = await park.take(device.FireInput("gate", False, park.origin()))
    assert only(Secure, told) == []
    told = await park.obey(CommandKind.FIRE_RESTORE, "*")
    assert Secure("lane") in only(Secure, told)


# Devices that decide by themselves


async def test_what_a_board_decided_is_recorded_and_opens_nothing_again(site: Site) -> None:
    board = Decided("gate-in", Method.CARD, cast.LIN_CARD.key, True, "swipe", site.origin(), 5.0)
    told = await site.take(board, board)
    assert released(told) == []
    (event,) = site.events(K.ACCESS_GRANTED)
    assert (event.data["decided_by"], event.data["ours"]) == ("device", Reason.GRANTED)
    assert not site.events(K.BOARD_DISAGREES)


async def test_what_comes_through_on_a_boards_own_decision_is_no_forced_door(
    make_site: Make,
) -> None:
    site = make_site(YARD, IN, OUT)
    board = Decided("gate-in", Method.CARD, cast.LIN_CARD.key, True, "swipe", site.origin())
    await site.take(board, site.contact("open"), site.contact("closed"))
    (taken,) = site.events(K.ACCESS_TAKEN)
    assert (taken.data["holder"], taken.data["area"]) == ("lin", "yard")
    assert not site.events(K.DOOR_FORCED)
    # Its news of the next opening comes late: what was taken for force is explained by it.
    await site.tick(60)
    await site.take(site.contact("open"))
    await site.tick(1)
    assert site.events(K.DOOR_FORCED)
    await site.take(replace(board, origin=site.origin(), age_s=1.0))
    assert site.events(K.DOOR_FORCED_CLEARED)
    assert len(site.events(K.ACCESS_TAKEN)) == 2


async def test_a_board_that_lets_in_whom_we_would_not_is_told(site: Site) -> None:
    board = Decided("gate-in", Method.CARD, "DEADBEEF", True, "swipe", site.origin())
    await site.take(board)
    (event,) = site.events(K.BOARD_DISAGREES)
    assert (event.data["theirs"], event.data["ours"]) == ("swipe", "credential_unknown")


async def test_after_a_restart_a_boards_own_opening_is_not_opened_again(site: Site) -> None:
    board = Decided("gate-in", Method.CARD, cast.LIN_CARD.key, True, "swipe", site.origin(), 1.0)
    await site.take(board)
    await site.restart()
    assert released(await site.take(board)) == []


async def test_who_waits_for_a_card_hears_of_it_from_a_board_too(make_site: Make) -> None:
    site = make_site()
    until = site.clock.now() + timedelta(hours=1)
    site.change(WatchEntry("w-1", Method.CARD, cast.LIN_CARD.key, until))
    await site.take(
        Decided("gate-in", Method.CARD, cast.LIN_CARD.key, True, "swipe", site.origin())
    )
    (hit,) = site.events(K.WATCH_HIT)
    assert hit.data["entry"] == "w-1"


async def test_a_controller_that_comes_back_is_not_told_to_lower_onto_a_car(park: Site) -> None:
    await under(park, False)
    await approach(park)
    await park.take(plate(park))
    await under(park, True)
    await approach(park, False)
    before = len(park.sent)
    park.engine.refresh(["lane"])
    assert only(Secure, park.sent[before:]) == []
    park.clock.advance(2)
    await under(park, False)
    park.engine.refresh(["lane"])
    assert park.sent[-1] == Secure("lane")


async def test_a_controller_that_comes_back_fires_no_bolt_into_an_open_leaf(site: Site) -> None:
    await site.take(site.card(), site.contact("open"))
    before = len(site.sent)
    site.engine.refresh(["gate"])
    assert site.sent[before:] == []
    assert only(Secure, await site.take(site.contact("closed"))) == [Secure("gate")]


async def test_a_table_that_stays_behind_is_told_when_it_changes(site: Site) -> None:
    behind = device.TableState("board-1", 7, "aa", "bb", 10, missing=1)
    await site.take(behind, replace(behind, missing=1), replace(behind, held="aa", missing=0))
    assert site.kinds() == [K.TABLE_BEHIND, K.TABLE_HELD]


# Messages that were lost and said again


async def test_a_tamper_that_comes_after_its_end_is_told_and_ends(site: Site) -> None:
    await site.take(device.Tampered("gate-1", False, site.origin()))
    await site.take(device.Tampered("gate-1", True, site.origin(), age_s=2.0))
    assert site.kinds() == [K.TAMPER, K.TAMPER_CLEARED]


async def test_a_door_that_was_forced_is_told_when_its_opening_comes_late(site: Site) -> None:
    await site.take(site.contact("closed"))
    site.clock.advance(5)
    await site.take(site.contact("closed"))
    late = device.Contact("gate", device.ContactLevel.OPEN, site.origin(), 2.0)
    await site.take(late)
    assert site.events(K.DOOR_FORCED)
    assert site.engine.status("gate").state == "secured"


async def test_a_loop_of_the_past_brings_no_car(park: Site) -> None:
    await under(park, False)
    await approach(park)
    await approach(park, False)
    before = park.kinds()
    await park.take(Loop("lane", True, park.origin(), age_s=3.0))
    assert park.kinds() == before


async def test_a_fire_restore_is_refused_while_the_input_is_active(site: Site) -> None:
    await site.take(device.FireInput("gate", True, site.origin()))
    await site.obey(CommandKind.FIRE_RESTORE, "*")
    (refused,) = site.events(K.COMMAND_REFUSED)
    assert "fire input is still active" in refused.data["rule"]
