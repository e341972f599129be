"""What a node asks about e-bikes: offline, over restarts, and without holding anybody up."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from anlin.core.access import Evidence
from anlin.core.device import Acknowledge, Crossed, Read, Release, TagSeen
from anlin.core.entities import Bike, Direction, Entity, Housemate, Method
from anlin.core.event import EventKind
from anlin.core.sync import CommandKind
from anlin.edge.bikes import STRANGERS_PER_MINUTE
from anlin.testing.site import Site, only

Make = Callable[..., Site]
K = EventKind
BIKE = Bike("bike-1", "E20047", "lin", (Housemate("meng"),))
OVER_S = 11
PICTURE = "a" * 64 + ".jpg"


@pytest.fixture
def site(make_site: Make) -> Site:
    return make_site(BIKE)


def tag(site: Site, tag: str = "E20047", point: str = "gate-out", age_s: float = 0.0) -> TagSeen:
    return TagSeen("gate-1", point, tag, site.origin(), age_s)


def wang_leaves(site: Site, **evidence: str) -> Read:
    return site.card("04D4E5F6", "gate-out", evidence=Evidence(**evidence))


async def walk_out(site: Site, read: Read) -> None:
    """Show something at the way out and walk through its leaf."""
    assert only(Release, await site.take(read)), "the way out is free"
    await site.take(site.contact("open"))
    await site.take(site.contact("closed"))


@pytest.fixture
async def door(site: Site) -> Site:
    await site.take(site.contact("closed"))
    return site


async def test_the_neighbour_leaves_with_it_and_the_guard_is_asked_after_the_window(
    door: Site,
) -> None:
    seen = tag(door)
    told = await door.take(seen)
    assert told == [], "it waits, and its device keeps it"
    await door.tick(2)
    await walk_out(door, wang_leaves(door, picture=PICTURE))
    await door.tick(7)
    assert not door.events(K.BIKE_QUESTION)
    told = await door.tick(2)
    (event,) = door.events(K.BIKE_QUESTION)
    assert event.subject == "gate-out"
    assert {name: event.data[name] for name in ("bike", "owner", "holder", "point", "picture")} == {
        "bike": "bike-1",
        "owner": "lin",
        "holder": "wang",
        "point": "gate-out",
        "picture": PICTURE,
    }
    assert Acknowledge("gate-1", seen.origin or "") in told
    assert BIKE.tag not in str([e.data for e in door.events()]), "whose tag it is says enough"


@pytest.mark.parametrize("key", ["04A1B2C3", "8002"], ids=["the owner", "the same home"])
async def test_the_household_is_never_asked_about(door: Site, key: str) -> None:
    method = Method.CARD if key == "04A1B2C3" else Method.SECURE_CARD
    await walk_out(door, Read("gate-out", method, key, door.origin()))
    seen = tag(door)
    await door.take(seen)
    told = await door.tick(OVER_S)
    assert not door.events(K.BIKE_QUESTION, K.TAG_SEEN)
    assert Acknowledge("gate-1", seen.origin or "") in told


async def test_by_exit_button_somebody_unknown_left_with_it(door: Site) -> None:
    await door.take(tag(door))
    await walk_out(door, door.exit_button())
    await door.tick(OVER_S)
    (event,) = door.events(K.BIKE_QUESTION)
    assert "holder" not in event.data


async def test_through_a_gate_that_is_held_open_somebody_unknown_left_with_it(door: Site) -> None:
    hour = door.ago(-3600).isoformat()
    await door.obey(CommandKind.HOLD_UNLOCKED, "gate", data={"until": hour})
    await door.take(tag(door))
    await door.tick(OVER_S)
    assert "holder" not in door.events(K.BIKE_QUESTION)[0].data


async def test_beams_tell_who_came_in_from_who_left(site: Site) -> None:
    await site.take(site.card(), Crossed("gate", Direction.ENTRY, 1, site.origin()))
    await site.tick(60)
    await site.take(tag(site), Crossed("gate", Direction.ENTRY, 1, site.origin()))
    await site.tick(OVER_S)
    assert not site.events(K.BIKE_QUESTION), "it came in"
    await site.tick(60)
    await site.take(wang_leaves(site), tag(site))
    await site.take(Crossed("gate", Direction.EXIT, 1, site.origin()))
    await site.tick(OVER_S)
    (event,) = site.events(K.BIKE_QUESTION)
    assert event.data["holder"] == "wang", "the beam saw the one whom the reader knows"


async def test_a_tag_that_nobody_registered_is_recorded_once_and_asks_nothing(door: Site) -> None:
    for _ in range(5):
        stranger = tag(door, "E299")
        told = await door.take(stranger)
        assert Acknowledge("gate-1", stranger.origin or "") in told
    await walk_out(door, wang_leaves(door))
    await door.tick(OVER_S)
    (event,) = door.events(K.TAG_SEEN)
    assert (event.subject, event.data["value"]) == ("gate-out", "E299")
    assert not door.events(K.BIKE_QUESTION)
    await door.tick(600)
    await door.take(tag(door, "E299"))
    assert len(door.events(K.TAG_SEEN)) == 2


async def test_an_antenna_that_reads_a_shop_does_not_fill_the_disk(door: Site) -> None:
    await door.take(*(tag(door, f"E2{number:04X}") for number in range(200)))
    assert len(door.events(K.TAG_SEEN)) == STRANGERS_PER_MINUTE


async def test_one_question_in_ten_minutes_also_over_a_restart(door: Site) -> None:
    for _ in range(2):
        await door.take(tag(door))
        await walk_out(door, wang_leaves(door))
        await door.tick(OVER_S)
        await door.restart()
        await door.take(door.contact("closed"))
    assert len(door.events(K.BIKE_QUESTION)) == 1
    await door.tick(600)
    await door.take(tag(door))
    await walk_out(door, wang_leaves(door))
    await door.tick(OVER_S)
    assert len(door.events(K.BIKE_QUESTION)) == 2


async def test_a_restart_before_the_answer_loses_no_question_and_asks_it_once(door: Site) -> None:
    seen = tag(door)
    await door.take(seen)
    await walk_out(door, wang_leaves(door, picture=PICTURE))
    await door.tick(4)
    await door.restart()
    again = TagSeen("gate-1", "gate-out", "E20047", seen.origin, 4.0)
    await door.take(again)
    told = await door.tick(OVER_S)
    (event,) = door.events(K.BIKE_QUESTION)
    assert (event.data["holder"], event.data["picture"]) == ("wang", PICTURE)
    assert Acknowledge("gate-1", seen.origin or "") in told
    await door.restart()
    told = await door.take(TagSeen("gate-1", "gate-out", "E20047", seen.origin, 30.0))
    assert told == [Acknowledge("gate-1", seen.origin or "")]
    await door.tick(OVER_S)
    assert len(door.events(K.BIKE_QUESTION)) == 1


async def test_while_it_stays_before_the_antenna_only_the_newest_message_is_kept(
    door: Site,
) -> None:
    first, second = tag(door), tag(door)
    await door.take(first)
    await door.tick(5)
    assert await door.take(second) == [Acknowledge("gate-1", first.origin or "")]
    assert await door.take(second) == []
    await walk_out(door, wang_leaves(door))
    await door.tick(9)
    assert not door.events(K.BIKE_QUESTION)
    assert Acknowledge("gate-1", second.origin or "") in await door.tick(2)
    assert len(door.events(K.BIKE_QUESTION)) == 1


async def test_told_hours_late_it_is_recorded_and_nobody_is_asked(door: Site) -> None:
    await walk_out(door, wang_leaves(door))
    await door.take(tag(door, age_s=7200.0))
    await door.tick(OVER_S)
    assert not door.events(K.BIKE_QUESTION)
    (event,) = door.events(K.TAG_SEEN)
    assert (event.data["bike"], event.data["age_s"]) == ("bike-1", 7200.0)


@pytest.mark.parametrize("point", ["gate-in", "nowhere"])
async def test_only_a_way_out_asks(door: Site, point: str) -> None:
    await door.take(tag(door, point=point))
    await walk_out(door, wang_leaves(door))
    await door.tick(OVER_S)
    assert not door.events(K.BIKE_QUESTION)


async def test_the_policy_may_change_while_it_waits(door: Site) -> None:
    await door.take(tag(door))
    await walk_out(door, wang_leaves(door))
    moved_in: Entity = Bike("bike-1", "E20047", "lin", (Housemate("wang"),))
    door.change(moved_in)
    await door.tick(OVER_S)
    assert not door.events(K.BIKE_QUESTION)
