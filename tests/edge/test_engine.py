"""The engine: nothing opens unrecorded, nothing is done twice, the way out always opens."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from anlin.core.access import Evidence, Liveness
from anlin.core.detection import CameraState, WorkerReady, WorkerState
from anlin.core.device import (
    Acknowledge,
    ContactLevel,
    FireInput,
    Loop,
    Online,
    Read,
    Refused,
    Release,
    Secure,
    Show,
    Tampered,
    WorkerReport,
)
from anlin.core.entities import Method, Portal, Status
from anlin.core.event import EventKind as Kind
from anlin.core.schedule import Period, Schedule
from anlin.core.sync import CommandKind
from anlin.testing import cast
from anlin.testing.site import Site, only

Make = Callable[..., Site]


# Who passes, and who does not


async def test_lin_is_let_in_once_it_is_durable(site: Site) -> None:
    site.engine.take(site.card(origin="gate-1/7-1"))
    assert site.sent == [], "nothing before the disk has it"
    await site.engine.settle()
    (release,) = only(Release, site.sent)
    (show,) = only(Show, site.sent)
    (event,) = site.events()
    assert (release.portal, release.seconds, release.cause) == ("gate", 5.0, "decision")
    assert release.id == event.data["release"]
    assert (show.point, show.text, show.is_granted) == ("gate-in", "林先生,请进", True)
    assert only(Acknowledge, site.sent) == [Acknowledge("gate-1", "gate-1/7-1")]
    assert (event.kind, event.subject) == (Kind.ACCESS_GRANTED, "gate-in")
    assert event.data["holder"] == "lin"
    assert event.data["rule"] == "r1"
    assert event.revision == site.engine.policy.revision


@pytest.mark.parametrize(
    ("read", "reason", "words"),
    [
        ({"value": "FFFF"}, "credential_unknown", "未获授权,请联系物业或保安"),
        ({"value": "04778899"}, "residency_ended", "权限已到期,请联系物业"),
        ({"point": "door-1-in"}, "second_factor_required", "请再用第二种方式验证"),
        ({"point": "nowhere"}, "unknown_access_point", "未获授权,请联系物业或保安"),
        ({"method": Method.PIN}, "method_not_accepted", "未获授权,请联系物业或保安"),
        ({"method": Method.QR, "value": "ANLIN1.x"}, "pass_invalid", "二维码无效"),
        ({"age_s": 10.1}, "stale_presentation", "未获授权,请联系物业或保安"),
        (
            {"method": Method.FACE, "value": "", "evidence": Evidence(score=0.2)},
            "face_not_recognised",
            "未识别,请刷卡或呼叫保安",
        ),
        (
            {"method": Method.FACE, "value": "lin-face", "evidence": Evidence(masked=True)},
            "mask_worn",
            "请刷卡,或摘下口罩",
        ),
        (
            {
                "method": Method.FACE,
                "value": "lin-face",
                "evidence": Evidence(liveness=Liveness.SPOOF),
            },
            "liveness_failed",
            "请刷卡",
        ),
    ],
)
async def test_who_is_denied_reads_why_and_nothing_opens(
    site: Site, read: dict[str, Any], reason: str, words: str
) -> None:
    told = await site.take(site.card(**read))
    (event,) = site.events()
    (show,) = only(Show, told)
    assert (event.kind, event.data["reason"]) == (Kind.ACCESS_DENIED, reason)
    assert (show.code, show.text, show.voice, show.is_granted) == (reason, words, words, False)
    assert only(Release, told) == []
    assert len(only(Acknowledge, told)) == 1
    assert [row[1] for row in event.data["checks"] if row[1] not in ("passed", "not_reached")] == [
        reason
    ]


async def test_an_unknown_card_is_kept_and_a_pin_never(site: Site) -> None:
    await site.take(site.card("0BADCAFE"), site.card("135790", method=Method.PIN))
    first, second = site.events()
    assert first.data["value"] == "0BADCAFE"
    assert "135790" not in repr(second)


async def test_a_policy_change_revokes_at_once(site: Site) -> None:
    assert only(Release, await site.take(site.card()))
    site.change(replace(cast.LIN_CARD, status=Status.LOST))
    assert only(Release, await site.take(site.card())) == []
    site.change(gone=(cast.WANG_CARD,))
    assert only(Release, await site.take(site.card("04D4E5F6"))) == []
    assert [event.data.get("reason") for event in site.events()] == [
        "granted",
        "credential_lost",
        "credential_unknown",
    ]


async def test_a_second_factor_opens_within_fifteen_seconds(site: Site) -> None:
    face = Read("door-1-in", Method.FACE, "lin-face", "cam/1")
    assert only(Release, await site.take(site.card(point="door-1-in"))) == []
    site.clock.advance(14.9)
    assert only(Release, await site.take(face))
    assert only(Release, await site.take(site.card(point="door-1-in"))) == [], "used up"
    site.clock.advance(15.1)
    assert only(Release, await site.take(replace(face, origin="cam/2"))) == [], "too late"
    assert [event.data["reason"] for event in site.events(Kind.ACCESS_DENIED)] == [
        "second_factor_required"
    ] * 3


async def test_two_people_make_no_two_factors(site: Site) -> None:
    await site.take(site.card("04D4E5F6", "door-1-in"))
    face = Read("door-1-in", Method.FACE, "lin-face", "cam/1")
    assert only(Release, await site.take(face)) == []


async def test_a_pass_is_taken_once_and_not_again_after_a_restart(site: Site) -> None:
    text = cast.qr_text(cast.zhao_pass())

    def shown() -> Read:
        return Read("gate-in", Method.QR, text, site.origin())

    assert only(Release, await site.take(shown()))
    assert only(Release, await site.take(shown())) == []
    await site.restart()
    told = await site.take(shown())
    assert only(Release, told) == []
    assert [show.text for show in only(Show, told)] == ["二维码已使用"]
    assert [event.data["pass"] for event in site.events()] == ["pass-1"] * 3


# Said again


async def test_what_is_said_again_is_answered_and_not_done_again(site: Site) -> None:
    read = site.card()
    first = await site.take(read)
    await site.take(site.contact("open"), site.contact("closed"))
    again = await site.take(read, read, read)
    assert only(Release, first)
    assert again == [Acknowledge("gate-1", str(read.origin))] * 3
    assert site.kinds() == [Kind.ACCESS_GRANTED, Kind.ACCESS_TAKEN, Kind.DOOR_CLOSED]
    denied = site.card("FFFF")
    await site.take(denied)
    assert await site.take(denied) == [Acknowledge("gate-1", str(denied.origin))]


async def test_what_is_said_again_before_it_is_durable_is_one_event(site: Site) -> None:
    read = site.card()
    told = await site.take(read, read, read)
    assert len(only(Release, told)) == 1
    assert len(only(Acknowledge, told)) == 1
    assert len(site.events()) == 1


async def test_a_release_that_may_be_lost_is_sent_again_while_the_grant_is_open(
    site: Site,
) -> None:
    read = site.card()
    (first,) = only(Release, await site.take(read))
    site.clock.advance(2)
    (again,) = only(Release, await site.take(read))
    assert again == first, "the device obeys each id once"
    assert await site.take(site.contact("open"), site.contact("closed"))
    assert only(Release, await site.take(read)) == []


async def test_a_level_said_again_in_one_life_changes_nothing(site: Site) -> None:
    await site.take(site.card())
    opened, closed = site.contact("open"), site.contact("closed")
    await site.take(opened, closed)
    # The acknowledgements were slow, so the device says both again, oldest first.
    await site.take(opened)
    await site.tick(1.0)
    await site.take(closed)
    assert site.kinds() == [Kind.ACCESS_GRANTED, Kind.ACCESS_TAKEN, Kind.DOOR_CLOSED]
    assert site.engine.status("gate").contact is ContactLevel.CLOSED


async def test_a_level_said_again_to_a_new_life_is_heard_and_not_written_twice(
    site: Site,
) -> None:
    arrived = Loop("lane", True, "gate-1/1-500")
    await site.take(arrived)
    await site.restart()
    told = await site.take(arrived)
    assert told == [Acknowledge("gate-1", "gate-1/1-500")]
    assert site.kinds() == [Kind.VEHICLE_ARRIVED]
    plate = Read("lane-in", Method.PLATE, "京A12345", "cam/1/1")
    assert only(Release, await site.take(plate)), "the loop is known to be occupied"


async def test_killed_between_grant_and_release_the_same_release_follows(site: Site) -> None:
    read = site.card()
    await site.die_before_the_release(read)
    site.clock.advance(3)
    told = await site.take(replace(read, age_s=3.0))
    (event,) = site.events(Kind.ACCESS_GRANTED)
    assert [release.id for release in only(Release, told)] == [event.data["release"]]
    assert len(only(Acknowledge, told)) == 1
    await site.take(site.contact("closed"), site.contact("open"))
    assert site.kinds() == [Kind.ACCESS_GRANTED, Kind.PORTAL_FOUND, Kind.ACCESS_TAKEN]
    assert only(Release, await site.take(replace(read, age_s=5.0))) == []


async def test_killed_between_grant_and_release_nothing_opens_too_late(site: Site) -> None:
    read = site.card()
    await site.die_before_the_release(read)
    site.clock.advance(10.1)
    assert await site.take(replace(read, age_s=10.1)) == [Acknowledge("gate-1", str(read.origin))]
    await site.tick()
    assert site.kinds() == [Kind.ACCESS_GRANTED, Kind.ACCESS_NOT_TAKEN]


async def test_a_pass_interrupted_by_a_kill_still_opens_and_counts_once(site: Site) -> None:
    read = Read("gate-in", Method.QR, cast.qr_text(cast.zhao_pass()), "gate-1/9-1")
    await site.die_before_the_release(read)
    assert len(only(Release, await site.take(replace(read, age_s=2.0)))) == 1
    assert only(Release, await site.take(replace(read, origin="gate-1/9-2"))) == []
    assert site.journal.pass_uses() == {"pass-1": 1}


# The way out


async def test_the_exit_button_does_not_wait_for_the_disk(site: Site) -> None:
    site.engine.take(site.exit_button())
    assert [release.portal for release in only(Release, site.sent)] == ["gate"]
    await site.engine.settle()
    (event,) = site.events()
    assert (event.kind, event.data["reason"]) == (Kind.ACCESS_GRANTED, "free_egress")
    assert [show.text for show in only(Show, site.sent)] == ["请慢走"]


async def test_a_press_that_waited_an_hour_is_recorded_and_opens_nothing(site: Site) -> None:
    told = await site.take(site.exit_button(age_s=3600.0))
    assert only(Release, told) == []
    (event,) = site.events()
    assert "release" not in event.data
    await site.restart()
    await site.tick(20)
    assert site.kinds() == [Kind.ACCESS_GRANTED], "no grant was open"


async def test_the_way_out_opens_in_a_lockdown(site: Site) -> None:
    await site.obey(CommandKind.LOCKDOWN, "*")
    assert only(Release, await site.take(site.exit_button()))
    assert only(Release, await site.take(site.card())) == []


# A journal that can't be written


class Breakable:
    """Break and mend the journal's file under a running engine, as a full disk does."""

    def __init__(self, site: Site) -> None:
        self._writer = site.journal._writer

    def __enter__(self) -> None:
        pages = self._writer.execute("PRAGMA page_count").fetchone()[0]
        self._writer.execute(f"PRAGMA max_page_count={pages}")
        self._writer.execute(
            "CREATE TEMP TRIGGER full BEFORE INSERT ON main.event BEGIN"
            " INSERT INTO fact VALUES (randomblob(8), zeroblob(100000)); END"
        )

    def __exit__(self, *_: object) -> None:
        self._writer.execute("DROP TRIGGER full")
        self._writer.execute("PRAGMA max_page_count=4294967294")


async def test_with_a_broken_journal_nothing_opens_but_the_way_out(site: Site) -> None:
    await site.take(site.contact("closed"))
    with Breakable(site):
        first = await site.take(site.card())
        assert only(Release, first) == []
        assert [show.code for show in only(Show, first)] == ["records_unavailable"]
        assert only(Acknowledge, first) == [], "the device keeps it"
        assert site.engine.status("gate").grant is None, "a door opened now is forced"
        second = await site.take(site.card())
        assert [show.text for show in only(Show, second)] == [] or only(Release, second) == []
        out = await site.take(site.exit_button())
        assert [release.portal for release in only(Release, out)] == ["gate"]
        site.engine.check_storage()
        await site.engine.settle()
    assert site.kinds() == [Kind.PORTAL_FOUND]
    site.engine.check_storage()
    await site.engine.settle()
    assert site.kinds()[1:] == [Kind.STORAGE_LOW, Kind.STORAGE_RESTORED]
    assert only(Release, await site.take(site.card()))


async def test_what_locks_does_not_wait_for_a_disk_that_is_full(site: Site) -> None:
    until = site.ago(-60).isoformat()
    await site.obey(CommandKind.HOLD_UNLOCKED, "gate", data={"until": until})
    with Breakable(site):
        assert only(Secure, await site.tick(61)) == [Secure("gate")]


async def test_after_a_refused_write_the_reason_is_told_before_any_other(site: Site) -> None:
    with Breakable(site):
        await site.take(site.card())
        told = await site.take(site.card("FFFF"))
        assert only(Release, told) == []
    told = await site.take(site.card())
    assert [show.code for show in only(Show, told)] == ["records_unavailable"]
    assert only(Release, await site.take(site.card())), "that was written, so it works again"


async def test_an_exit_press_said_again_and_again_stops_opening(site: Site) -> None:
    press = site.exit_button()
    with Breakable(site):
        for age in (0, 2, 4, 6, 8, 10):
            assert only(Release, await site.take(replace(press, age_s=float(age))))
        for age in (12, 14, 600):
            assert only(Release, await site.take(replace(press, age_s=float(age)))) == []


async def test_a_pass_is_not_used_up_by_a_grant_that_opened_nothing(site: Site) -> None:
    text = cast.qr_text(cast.zhao_pass())
    with Breakable(site):
        assert only(Release, await site.take(Read("gate-in", Method.QR, text, "g/1"))) == []
    site.engine.check_storage()
    await site.engine.settle()
    assert only(Release, await site.take(Read("gate-in", Method.QR, text, "g/2")))


async def test_an_unreadable_journal_keeps_nobody_in(site: Site) -> None:
    site.journal._reader.close()
    assert only(Release, await site.take(site.exit_button()))
    site.journal._reader = sqlite3.connect(site.journal.path)


async def test_fire_opens_with_a_broken_journal_and_a_broken_replica(site: Site) -> None:
    class Full:
        def __getattr__(self, name: str) -> Any:
            raise sqlite3.OperationalError("database or disk is full")

    real, site.replica._db = site.replica._db, Full()  # type: ignore[assignment]
    with Breakable(site):
        site.engine.take(FireInput("gate", True, site.origin()))
        told = {release.portal for release in only(Release, site.sent)}
        assert told == {"gate", "door-1", "lane"}
        site.engine.tick()
        site.engine.tick()
        await site.engine.settle()
    site.replica._db = real
    site.engine.check_storage()
    await site.restart()
    assert site.engine.status("door-1").fire_latched, "kept as soon as there was room"


async def test_low_room_is_told_once_and_its_return_too(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.journal.is_low = True
    with monkeypatch.context() as patch:
        patch.setattr(site.journal, "_ballast_bytes", 1 << 60)
        for _ in range(3):
            site.engine.check_storage()
    for _ in range(3):
        site.engine.check_storage()
    await site.engine.settle()
    assert site.kinds() == [Kind.STORAGE_LOW, Kind.STORAGE_RESTORED]


# Fire


async def test_fire_releases_every_way_out_and_barrier_before_it_is_written(
    make_site: Make,
) -> None:
    store = Portal("store", "库房", is_escape_route=False)
    site = make_site(store)
    site.engine.take(FireInput("gate", True, site.origin()))
    told = only(Release, site.sent)
    assert {release.portal for release in told} == {"gate", "door-1", "lane"}
    assert all(release.seconds is None and release.cause == "fire" for release in told)
    assert site.journal.seq == 0
    await site.engine.settle()
    assert site.kinds() == [Kind.FIRE_RELEASED] * 3


async def test_fire_latches_through_clearing_and_through_a_restart(site: Site) -> None:
    await site.take(FireInput("gate", True, site.origin()))
    await site.take(FireInput("gate", False, site.origin()))
    await site.restart()
    assert site.engine.status("gate").fire_latched
    assert only(Release, await site.take(site.card("FFFF"))), "everybody may pass"
    assert only(Secure, await site.obey(CommandKind.FIRE_RESTORE, "gate"))
    await site.restart()
    assert not site.engine.status("gate").fire_latched
    assert site.engine.status("door-1").fire_latched


async def test_doors_are_told_again_when_their_device_comes_back(site: Site) -> None:
    await site.take(FireInput("gate", True, site.origin()))
    await site.restart()
    site.engine.refresh({"gate", "lane"})
    told = only(Release, site.sent)
    assert {(release.portal, release.seconds, release.cause) for release in told} == {
        ("gate", None, "fire"),
        ("lane", None, "fire"),
    }


async def test_a_device_that_comes_back_is_not_told_to_lock_what_it_just_opened(
    site: Site,
) -> None:
    site.engine.refresh({"gate"})
    assert site.sent == [], "nothing is known of it yet"
    await site.take(site.card())
    site.sent.clear()
    site.engine.refresh({"gate"})
    assert site.sent == []
    await site.take(site.contact("open"), site.contact("closed"))
    site.sent.clear()
    site.engine.refresh({"gate"})
    assert site.sent == [Secure("gate")]


# Commands


async def test_a_remote_release_opens_once(site: Site) -> None:
    command = site.command(CommandKind.RELEASE, "gate-in")
    for _ in range(3):
        site.engine.obey(command)
    await site.engine.settle()
    assert [(r.portal, r.id, r.cause) for r in only(Release, site.sent)] == [
        ("gate", command.id, "operator")
    ]
    assert [event.kind for event in site.events()] == [
        Kind.COMMAND_DONE,
        Kind.COMMAND_REFUSED,
        Kind.COMMAND_REFUSED,
    ]
    assert site.events()[0].data["by"] == "guo"
    await site.restart()
    assert site.engine.command == command.number
    site.engine.obey(command)
    await site.engine.settle()
    assert only(Release, site.sent) == []


async def test_a_stale_command_is_refused(site: Site) -> None:
    told = await site.obey(CommandKind.RELEASE, "gate", expires_at=site.ago(0.5))
    assert told == []
    (event,) = site.events()
    assert event.kind is Kind.COMMAND_REFUSED
    assert event.data["rule"] == "release for gate expired 0.5 s ago"


@pytest.mark.parametrize("kind", [CommandKind.RELEASE, CommandKind.HOLD_UNLOCKED])
async def test_a_command_for_nobody_is_refused(site: Site, kind: CommandKind) -> None:
    assert await site.obey(kind, "gaet") == []
    assert site.events()[0].data["rule"] == "no portal, access point or area gaet here"


async def test_no_single_release_of_everything(site: Site) -> None:
    assert await site.obey(CommandKind.RELEASE, "*") == []


async def test_a_lockdown_survives_a_restart_and_ends_by_command(site: Site) -> None:
    await site.obey(CommandKind.LOCKDOWN, "*")
    await site.restart()
    told = await site.take(site.card())
    assert [show.code for show in only(Show, told)] == ["lockdown"]
    assert only(Release, await site.obey(CommandKind.RELEASE, "gate")) == []
    await site.obey(CommandKind.LOCKDOWN_END, "*")
    await site.restart()
    assert only(Release, await site.take(site.card()))


async def test_a_lockdown_is_kept_before_it_is_answered(site: Site) -> None:
    site.engine.obey(site.command(CommandKind.LOCKDOWN, "gate"))
    with sqlite3.connect(site.replica.path) as db:
        kept = db.execute("SELECT value FROM fact WHERE name = 'portal/gate'").fetchone()
    assert json.loads(kept[0])["lockdown"] is True
    db.close()


async def test_a_hold_ends_by_itself_also_over_a_restart(site: Site) -> None:
    told = await site.obey(
        CommandKind.HOLD_UNLOCKED, "gate", data={"until": site.ago(-(60)).isoformat()}
    )
    assert [release.seconds for release in only(Release, told)] == [None]
    await site.restart()
    assert await site.tick(59) == []
    assert only(Secure, await site.tick(2)) == [Secure("gate")]


async def test_a_schedule_unlocks_and_locks(make_site: Make) -> None:
    hours = Schedule("hours", "办公", "Asia/Shanghai", (Period(7 * 60 + 31, 8 * 60),))
    site = make_site(hours, replace(cast.GATE, schedule="hours"))
    assert await site.tick() == []
    (release,) = only(Release, await site.tick(60))
    assert (release.portal, release.seconds, release.cause) == ("gate", None, "schedule")
    assert await site.tick(60) == []
    assert only(Secure, await site.tick(1800)) == [Secure("gate")]
    assert site.kinds() == [Kind.PORTAL_UNLOCKED, Kind.PORTAL_LOCKED]


# Vehicles


def plate(site: Site, text: str = "京A12345") -> Read:
    return Read("lane-in", Method.PLATE, text, f"cam/{site.origin()}")


async def test_a_plate_waits_five_seconds_for_its_car(site: Site) -> None:
    await site.take(Loop("lane", False, site.origin()))
    told = await site.take(plate(site))
    assert [show.text for show in only(Show, told)] == ["请驶近道闸"]
    await site.tick(4.9)
    told = await site.take(Loop("lane", True, site.origin()))
    assert [release.portal for release in only(Release, told)] == ["lane"]
    assert [event.data.get("reason") for event in site.events()] == [
        "vehicle_not_present",
        None,
        "granted",
    ]


async def test_a_plate_waits_no_longer(site: Site) -> None:
    await site.take(Loop("lane", False, site.origin()))
    await site.take(plate(site))
    site.clock.advance(5.1)
    assert only(Release, await site.take(Loop("lane", True, site.origin()))) == []


async def test_of_two_cars_the_first_in_line_is_on_the_loop(site: Site) -> None:
    await site.take(Loop("lane", False, site.origin()))
    # The camera reads the second car too; Lin's is read twice before it reaches the loop.
    await site.take(plate(site), plate(site, "沪B88888"), plate(site))
    told = await site.take(Loop("lane", True, site.origin()))
    assert len(only(Release, told)) == 1
    told = await site.take(Loop("lane", False, site.origin()), Loop("lane", True, site.origin()))
    assert only(Release, told) == []
    assert [show.text for show in only(Show, told)] == ["外来车辆,请联系保安"]


async def test_a_plate_read_late_does_not_open_for_the_car_behind(site: Site) -> None:
    await site.take(Loop("lane", True, site.origin()))
    site.clock.advance(2.0)
    await site.take(Loop("lane", False, site.origin()))
    # The frame is older than the leaving; the next car is on the loop when its reading comes.
    late = replace(plate(site), age_s=1.0)
    site.clock.advance(0.5)
    told = await site.take(Loop("lane", True, site.origin()), late)
    assert only(Release, told) == []
    site.clock.advance(0.5)
    assert only(Release, await site.take(plate(site)))


async def test_a_foreign_car_is_not_let_in_by_the_one_behind_it(site: Site) -> None:
    await site.take(Loop("lane", False, site.origin()))
    await site.take(plate(site, "沪B88888"), plate(site))
    assert only(Release, await site.take(Loop("lane", True, site.origin()))) == []


async def test_a_loop_that_stays_occupied_is_one_arrival(site: Site) -> None:
    await site.take(*(Loop("lane", True, site.origin()) for _ in range(3)))
    await site.take(*(Loop("lane", False, site.origin()) for _ in range(3)))
    assert site.kinds() == [Kind.VEHICLE_ARRIVED, Kind.VEHICLE_LEFT]


# Doors


async def test_a_passage_is_taken_and_closed(site: Site) -> None:
    await site.take(site.contact("closed"), site.card(), site.contact("open"))
    assert Secure("gate") in await site.take(site.contact("closed"))
    assert site.kinds()[1:] == [Kind.ACCESS_GRANTED, Kind.ACCESS_TAKEN, Kind.DOOR_CLOSED]
    _, granted, taken, _ = site.events()
    assert taken.data["release"] == granted.data["release"]


async def test_a_grant_that_nobody_uses_is_told(site: Site) -> None:
    await site.take(site.contact("closed"), site.card())
    assert await site.tick(4.9) == []
    assert await site.tick(0.2) == [Secure("gate")]
    assert site.kinds() == [Kind.PORTAL_FOUND, Kind.ACCESS_GRANTED, Kind.ACCESS_NOT_TAKEN]


async def test_a_door_opened_without_a_release_is_forced(site: Site) -> None:
    await site.take(site.contact("closed"), site.contact("open"))
    assert site.kinds() == [Kind.PORTAL_FOUND]
    await site.tick(0.1)
    await site.take(site.contact("closed"))
    assert site.kinds()[1:] == [Kind.DOOR_FORCED, Kind.DOOR_FORCED_CLEARED, Kind.DOOR_CLOSED]


async def test_a_door_held_open_beeps_and_is_told(site: Site) -> None:
    await site.take(site.contact("closed"), site.card(), site.contact("open"))
    told = await site.tick(20)
    assert {(show.point, show.text) for show in only(Show, told)} == {
        ("gate-in", "请关门"),
        ("gate-out", "请关门"),
    }
    await site.tick(10)
    await site.take(site.contact("closed"))
    assert site.kinds()[3:] == [
        Kind.DOOR_PREALARM,
        Kind.DOOR_HELD,
        Kind.DOOR_HELD_CLEARED,
        Kind.DOOR_CLOSED,
    ]


async def test_a_cut_wire_is_a_fault_and_not_a_passage(site: Site) -> None:
    await site.take(site.contact("closed"), site.contact("cut"), site.contact("closed"))
    assert site.kinds()[1:] == [Kind.CONTACT_FAULT, Kind.CONTACT_FAULT_CLEARED]


async def test_what_was_told_late_shows_no_time_that_nobody_took(site: Site) -> None:
    await site.take(site.card(age_s=0.03), site.card(age_s=8.0))
    at_once, late = site.events(Kind.ACCESS_GRANTED)
    assert at_once.data["latency_ms"] == 30.0
    assert late.data["age_s"] == 8.0
    assert "latency_ms" not in late.data


# When the process stood still


async def test_what_waited_while_the_process_stood_still_opens_for_nobody(site: Site) -> None:
    site.clock.advance(12)
    site.engine.stood_still(12)
    assert only(Release, await site.take(site.card())) == []
    (denied,) = site.events(Kind.ACCESS_DENIED)
    assert (denied.data["reason"], denied.data["age_s"]) == ("stale_presentation", 12)
    site.clock.advance(2)
    assert only(Release, await site.take(site.card())), "shown again, it opens"
    (told,) = site.events(Kind.NODE_STOOD_STILL)
    assert (told.subject, told.data) == ("node-1", {"seconds": 12})


async def test_after_two_stops_a_read_may_have_waited_through_both(site: Site) -> None:
    for _ in range(2):
        site.clock.advance(6)
        site.engine.stood_still(6)
    assert only(Release, await site.take(site.card())) == []


async def test_the_way_out_and_fire_are_obeyed_however_long_they_waited(site: Site) -> None:
    site.clock.advance(600)
    site.engine.stood_still(600)
    assert only(Release, await site.take(site.exit_button()))
    fire = await site.take(FireInput("gate", True, site.origin()))
    assert "fire" in [release.cause for release in only(Release, fire)]


async def test_what_was_decided_before_it_stood_still_opens_nothing_after_it(site: Site) -> None:
    site.engine.take(site.card())
    site.clock.advance(11)
    await site.engine.settle()
    assert site.sent == [Acknowledge("gate-1", "gate-1/1-1")]
    assert site.kinds() == [Kind.ACCESS_GRANTED]
    await site.tick()
    assert site.kinds() == [Kind.ACCESS_GRANTED, Kind.ACCESS_NOT_TAKEN]


async def test_a_hold_that_waited_for_the_disk_is_told_however_late(site: Site) -> None:
    until = (site.clock.now() + timedelta(hours=1)).isoformat()
    site.engine.obey(site.command(CommandKind.HOLD_UNLOCKED, "gate", data={"until": until}))
    site.clock.advance(11)
    await site.engine.settle()
    assert [release.cause for release in only(Release, site.sent)] == ["operator"]


# How a portal stands at a start


@pytest.mark.parametrize(("level", "state"), [("closed", "secured"), ("cut", "fault")])
async def test_the_first_look_at_a_door_is_told_once_in_each_life(
    site: Site, level: str, state: str
) -> None:
    for life in (1, 2):
        await site.take(site.contact(level), site.contact(level))
        told = site.events()
        assert len(told) == life, "one event for each portal at each start, and no more"
        assert (told[-1].subject, told[-1].data["state"]) == ("gate", state)
        await site.restart()


async def test_a_door_found_open_at_a_start_is_one_event(site: Site) -> None:
    await site.take(site.contact("open"), site.contact("open"))
    assert site.kinds() == [Kind.DOOR_FOUND_OPEN]


async def test_a_lockdown_of_the_last_life_is_told_with_the_first_look(site: Site) -> None:
    await site.obey(CommandKind.LOCKDOWN, "gate")
    await site.restart()
    told = await site.take(site.contact("closed"))
    (found,) = site.events(Kind.PORTAL_FOUND)
    assert (found.data["contact"], found.data["state"]) == ("closed", "lockdown")
    assert only(Release, told) == [], "a look at a door opens nothing"


async def test_the_first_look_opens_only_what_was_held_open_and_does_not_wait_for_the_disk(
    site: Site,
) -> None:
    until = (site.clock.now() + timedelta(hours=1)).isoformat()
    await site.obey(CommandKind.HOLD_UNLOCKED, "gate", data={"until": until})
    await site.restart()
    site.engine.take(site.contact("closed"))
    assert [release.cause for release in only(Release, site.sent)] == ["operator"]
    await site.engine.settle()
    (found,) = site.events(Kind.PORTAL_FOUND)
    assert found.data["state"] == "unlocked"


# Devices


async def test_states_are_written_when_they_change(site: Site) -> None:
    state = WorkerState("cam-1", CameraState.ONLINE)
    ready = WorkerReport("cam-1", WorkerReady("cam-1", 1, {}, 0.6))
    reports = [
        Online("gate-1", True),
        Tampered("gate-1", False),
        Tampered("gate-1", True),
        ready,
        WorkerReport("cam-1", state),
        WorkerReport("cam-1", replace(state, state=CameraState.COVERED, detail="black")),
        Online("gate-1", False),
        Tampered("gate-1", False),
    ]
    for report in reports:
        await site.take(report, report, report)
    assert [(event.kind, event.subject) for event in site.events()] == [
        (Kind.DEVICE_ONLINE, "gate-1"),
        (Kind.TAMPER, "gate-1"),
        (Kind.CAMERA_STATE, "cam-1"),
        (Kind.CAMERA_STATE, "cam-1"),
        (Kind.CAMERA_STATE, "cam-1"),
        (Kind.DEVICE_OFFLINE, "gate-1"),
        (Kind.TAMPER_CLEARED, "gate-1"),
    ]


async def test_rubbish_is_recorded_six_times_a_minute_and_always_acknowledged(site: Site) -> None:
    def rubbish(device: str) -> list[Refused]:
        return [
            Refused(device, "not JSON", "5 bytes", f"{device}/{site.origin()}") for _ in range(50)
        ]

    told = await site.take(*rubbish("gate-1"), *rubbish("gate-2"))
    assert len(only(Acknowledge, told)) == 100
    assert sorted(event.subject for event in site.events(Kind.MESSAGE_REFUSED)) == [
        *["gate-1"] * 6,
        *["gate-2"] * 6,
    ]
    site.clock.advance(60)
    await site.take(*rubbish("gate-1"))
    assert len(site.events()) == 18
    assert only(Release, await site.take(site.card())), "and people pass"


async def test_everything_that_happened_is_one_unbroken_chain(site: Site) -> None:
    for number in range(30):
        await site.take(site.card(), site.contact("open"), site.contact("closed"))
        await site.take(site.card("FFFF"))
        if number % 10 == 9:
            await site.restart()
    seqs = [event.seq for event in site.events()]
    assert seqs == list(range(1, len(seqs) + 1))
    assert list(site.journal.verify()) == []
