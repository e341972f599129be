"""Letting go in time: what goes, what stays, and that the log still holds together afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest
from django.utils import timezone

from anlin.core.access import Reason
from anlin.core.codec import to_data
from anlin.core.entities import HolderKind, Method
from anlin.core.event import GENESIS, Draft, EventKind, chain
from anlin.core.event import Event as CoreEvent
from anlin.hub.access.models import Photo, PolicyChange
from anlin.hub.audit.guard import rewriting
from anlin.hub.audit.log import viewed
from anlin.hub.audit.models import View
from anlin.hub.console.tests.world import BY, World
from anlin.hub.devices.models import Folded
from anlin.hub.errors import RuleError
from anlin.hub.events.fold import fold
from anlin.hub.events.models import Event, NodeLog, Picture, Quarantine
from anlin.hub.events.pictures import path_of
from anlin.hub.events.store import commit
from anlin.hub.people import services as people
from anlin.hub.people.models import Holder
from anlin.hub.privacy import forget, retention
from anlin.hub.privacy.logtime import position_before
from anlin.hub.privacy.models import Run
from anlin.hub.state.fold import rebuild
from anlin.hub.state.models import DeviceTable, PortalHold, Presence

pytestmark = pytest.mark.django_db(databases=["default", "events"])

DAY = timedelta(days=1)


class Journal:
    """A node's journal that may be sent again, with days of its own."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.events: list[CoreEvent] = []

    def at(self, days_ago: float, kind: EventKind, subject: str, **data: object) -> Event:
        """Write an event that happened and came in so many days ago."""
        when = timezone.now() - DAY * days_ago
        last = self.events[-1].hash if self.events else GENESIS
        draft = Draft(kind, subject, when, data)
        event = chain(draft, self.world.node.pk, 1, len(self.events) + 1, last)
        self.events.append(event)
        assert not commit(self.world.node, [to_data(event)], when).refused
        fold()
        return Event.objects.get(node=event.node, seq=event.seq)

    def passage(self, days_ago: float, holder: Holder | None = None, **data: object) -> Event:
        point = self.world.points["east"]
        who = {"holder": holder.pk, "label": holder.label} if holder else {}
        told = {"reason": "granted", "method": "card", "point": point.pk, **who, **data}
        return self.at(days_ago, EventKind.ACCESS_GRANTED, point.pk, **told)

    def again(self) -> None:
        """Send everything once more, as an edge does that was restored."""
        answer = commit(self.world.node, [to_data(one) for one in self.events], timezone.now())
        assert answer.seq == len(self.events)
        assert not answer.refused


@pytest.fixture
def journal(world: World) -> Journal:
    return Journal(world)


def test_a_time_is_found_in_the_log_without_an_index(journal: Journal) -> None:
    assert position_before(timezone.now()) == 0
    made = [journal.passage(days) for days in (9, 7, 5, 3, 1)]
    now = timezone.now()
    for days, expected in ((10, 0), (8, 1), (6, 2), (4, 3), (2, 4), (0, 5)):
        found = position_before(now - DAY * days)
        assert found == (made[expected - 1].pk if expected else 0), days


def test_each_kind_of_passage_goes_at_its_own_time(world: World, journal: Journal) -> None:
    lin = world.people["lin"]
    zhao = people.register_holder(world.community, "赵访", BY, kind=HolderKind.VISITOR)
    old = journal.passage(181, lin)
    visit = journal.passage(100, zhao)
    car = journal.passage(100, lin, method="plate", value="京A12345")
    kept = journal.passage(100, lin)
    fresh = journal.passage(1, zhao)
    for kind in ("passages", "visitors", "plates"):
        assert retention.run(world.community, kind, BY).count == 1
    for event in (old, visit, car):
        event.refresh_from_db()
        assert forget.is_forgotten(event)
        assert event.data["reason"] == "granted"
        assert not {"holder", "label", "value"} & set(event.data)
    for event in (kept, fresh):
        event.refresh_from_db()
        assert "holder" in event.data


def test_a_run_leaves_evidence_and_a_second_one_finds_nothing(
    world: World, journal: Journal
) -> None:
    journal.passage(200, world.people["lin"])
    kept = journal.passage(3, world.people["lin"])
    first = retention.run(world.community, "passages", BY)
    assert (first.count, first.limit_h, first.by) == (1, 180 * 24, BY.name)
    assert first.ended_at is not None
    assert first.oldest_left == kept.at
    assert retention.run(world.community, "passages", BY).count == 0
    assert Run.objects.filter(kind="passages").count() == 2


def test_a_dry_run_says_the_same_number_and_deletes_nothing(world: World, journal: Journal) -> None:
    for _ in range(3):
        journal.passage(200, world.people["lin"])
    previews = {one.rule.kind: one for one in retention.preview(world.community)}
    assert previews["passages"].left.due == 3
    assert previews["passages"].is_late
    assert not any(forget.is_forgotten(event) for event in Event.objects.all())
    assert retention.run(world.community, "passages", BY).count == 3


def test_the_chain_holds_over_what_was_forgotten_and_a_forger_is_found(
    world: World, journal: Journal
) -> None:
    for days in (200, 190, 50, 2):
        journal.passage(days, world.people["lin"])
    retention.run(world.community, "passages", BY)
    proof = forget.verify(world.node.pk)
    assert (proof.events, proof.forgotten, proof.faults) == (4, 2, ())
    victim = Event.objects.get(seq=3)
    Event.objects.filter(pk=victim.pk).update(data={**victim.data, "reason": "unauthorized"})
    assert forget.verify(world.node.pk).faults == ("seq 3: its hash does not cover what it says",)
    # Nor can he pass it off as forgotten: no run of that name is written down.
    Event.objects.filter(pk=victim.pk).update(data={"forgotten": "rr_never"})
    assert "which nobody has noted" in forget.verify(world.node.pk).faults[0]
    Event.objects.filter(pk=victim.pk).delete()
    assert "missing" in forget.verify(world.node.pk).faults[0]


def test_the_log_is_let_go_from_its_beginning_and_the_chain_starts_there(
    world: World, journal: Journal
) -> None:
    for days in (300, 250, 181, 90, 1):
        journal.passage(days, world.people["lin"])
    newest = Event.objects.latest("pk").pk
    assert retention.run(world.community, "log", BY).count == 3
    assert list(Event.objects.values_list("seq", flat=True)) == [4, 5]
    log = NodeLog.objects.get(pk=world.node.pk)
    assert (log.seq, log.kept_from) == (5, 4)
    assert log.kept_hash == journal.events[2].hash
    proof = forget.verify(world.node.pk)
    assert (proof.kept_from, proof.events, proof.faults) == (4, 2, ())
    NodeLog.objects.filter(pk=world.node.pk).update(kept_hash="f" * 64)
    assert "not tied" in forget.verify(world.node.pk).faults[0]
    # A reader that stands at the end stays there, and so does the fold.
    assert Event.objects.latest("pk").pk == newest
    assert Folded.objects.get(pk=1).position == newest


def test_what_was_let_go_does_not_come_back_when_the_edge_sends_it_again(
    world: World, journal: Journal
) -> None:
    for days in (300, 250, 100, 1):
        journal.passage(days, world.people["lin"])
    retention.run(world.community, "log", BY)
    before = list(Event.objects.values_list("pk", "seq"))
    journal.again()
    assert list(Event.objects.values_list("pk", "seq")) == before
    assert not Quarantine.objects.exists()
    # What still stands is compared as ever: another record in its place is set aside.
    forged = chain(Draft(EventKind.DOOR_FORCED, "p", timezone.now()), world.node.pk, 1, 3, GENESIS)
    commit(world.node, [to_data(forged)], timezone.now())
    assert Quarantine.objects.get().seq == 3


def test_the_newest_event_of_a_node_stays_however_old(world: World, journal: Journal) -> None:
    journal.passage(400, world.people["lin"])
    journal.passage(399, world.people["lin"])
    retention.run(world.community, "log", BY)
    assert list(Event.objects.values_list("seq", flat=True)) == [2]
    journal.passage(0, world.people["wang"])
    assert not forget.verify(world.node.pk).faults


def test_what_stands_now_is_folded_alike_before_and_after(world: World, journal: Journal) -> None:
    camera, lane = world.camera.pk, world.portals["lane"].pk
    for days, digest in ((400, "a"), (300, "b")):
        journal.at(days, EventKind.TABLE_HELD, camera, wanted=digest, held=digest, rows=3)
    journal.at(290, EventKind.ARM_OFF, lane)
    journal.at(280, EventKind.FIRE_RELEASED, world.portals["east"].pk)
    journal.at(279, EventKind.FIRE_CLEARED, world.portals["east"].pk)
    journal.passage(1, world.people["lin"])

    def now() -> tuple[object, ...]:
        rebuild(world.community)
        return (
            list(DeviceTable.objects.values_list("device", "wanted", "held", "rows")),
            list(PortalHold.objects.order_by("pk").values_list("pk", "arm", "is_fire_input")),
        )

    before = now()
    assert before[0] == [(camera, "b", "b", 3)]
    retention.run(world.community, "log", BY)
    assert now() == before
    # One word of each stays; the older table is gone.
    kept = Event.objects.filter(kind=EventKind.TABLE_HELD.value)
    assert [event.data["held"] for event in kept] == ["b"]
    journal.at(0, EventKind.TABLE_HELD, camera, wanted="c", held="c", rows=4)
    journal.at(0, EventKind.DOOR_CLOSED, lane)
    # Superseded now: it goes with the next run that trims.
    forget._drop_superseded(world.node.pk, NodeLog.objects.get(pk=world.node.pk).kept_from)
    assert [event.data["held"] for event in kept.all()] == ["c"]


def test_nothing_is_touched_that_is_not_folded_yet(world: World, journal: Journal) -> None:
    journal.passage(300, world.people["lin"])
    journal.passage(299, world.people["lin"])
    Folded.objects.update(position=0)
    for kind in ("passages", "log"):
        assert retention.run(world.community, kind, BY).count == 0
    fold()
    assert retention.run(world.community, "passages", BY).count == 2


def test_a_run_that_is_cut_off_is_finished_by_the_next(
    world: World, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forget, "BATCH_EVENTS", 2)
    monkeypatch.setattr(forget, "SCAN_EVENTS", 3)
    for days in range(310, 300, -1):
        journal.passage(days, world.people["lin"])
    journal.passage(1, world.people["lin"])

    def cut(batches: Iterator[int], after: int) -> None:
        for n, _count in enumerate(batches, start=1):
            if n == after:
                batches.close()  # type: ignore[attr-defined]
                return

    at = timezone.now()
    for kind in ("passages", "log"):
        rule = retention.RULES[kind]
        cutoff = at - timedelta(hours=rule.default_h)
        record = Run.objects.create(
            community=world.community, kind=kind, limit_h=1, started_at=at, by="test"
        )
        cut(rule.run(world.community, cutoff, record.pk), 2)
        assert not forget.verify(world.node.pk).faults
        retention.run(world.community, kind, BY)
        assert not forget.verify(world.node.pk).faults
    assert list(Event.objects.values_list("seq", flat=True)) == [11]
    assert Run.objects.filter(ended_at=None).count() == 2


def test_pictures_of_strangers_go_after_a_day_and_of_residents_after_thirty(
    world: World, journal: Journal
) -> None:
    names = [world.picture(n) for n in range(3)]
    journal.at(2, EventKind.ACCESS_DENIED, world.points["east"].pk, picture=names[0])
    journal.passage(2, world.people["lin"], picture=names[1])
    journal.passage(40, world.people["lin"], picture=names[2])
    old = names[2].removesuffix(".jpg")
    Picture.objects.filter(sha256=old).update(received_at=timezone.now() - DAY * 31)
    retention.run(world.community, "strangers", BY)
    assert [path_of(name.removesuffix(".jpg")).exists() for name in names] == [False, True, True]
    retention.run(world.community, "pictures", BY)
    assert [path_of(name.removesuffix(".jpg")).exists() for name in names] == [False, True, False]
    assert Picture.objects.count() == 1


def test_a_strangers_picture_that_comes_late_is_dropped_when_it_comes(
    world: World, journal: Journal
) -> None:
    name = world.picture(7)
    sha256 = name.removesuffix(".jpg")
    body = path_of(sha256).read_bytes()
    Picture.objects.all().delete()
    path_of(sha256).unlink()
    journal.at(2, EventKind.ACCESS_DENIED, world.points["east"].pk, picture=name)
    retention.run(world.community, "strangers", BY)
    from anlin.hub.events import pictures

    pictures.keep(world.node, sha256, body, timezone.now())
    retention.run(world.community, "strangers", BY)
    assert not path_of(sha256).exists()
    assert not Picture.objects.exists()


def test_who_was_last_seen_long_ago_is_seen_no_more(world: World, journal: Journal) -> None:
    lin, wang = world.people["lin"], world.people["wang"]
    portal = world.portals["east"].pk
    journal.at(200, EventKind.ACCESS_TAKEN, portal, holder=lin.pk)
    journal.at(2, EventKind.ACCESS_TAKEN, portal, holder=wang.pk)
    retention.run(world.community, "passages", BY)
    assert [row.holder for row in Presence.objects.all()] == [wang.pk]
    rebuild(world.community)
    assert [row.holder for row in Presence.objects.all()] == [wang.pk]


def test_looks_and_old_rules_go_and_what_explains_a_kept_passage_stays(world: World) -> None:
    viewed(BY, world.community, "holder", [world.people["lin"].pk], "old")
    with rewriting("test", "test"):
        View.objects.update(at=timezone.now() - DAY * 1200)
    viewed(BY, world.community, "holder", [world.people["lin"].pk], "new")
    assert retention.run(world.community, "looks", BY).count == 1
    assert View.objects.get().purpose == "new"
    people.change_holder(world.people["lin"], BY, greeting="林")
    PolicyChange.objects.update(at=timezone.now() - DAY * 400)
    people.change_holder(world.people["lin"], BY, greeting="林女士")
    retention.run(world.community, "policy", BY)
    said = PolicyChange.objects.filter(kind="holder", entity=world.people["lin"].pk)
    # The first greeting is gone. The second was replaced only now: passages rest on it.
    assert [row.data and row.data["label"] for row in said.order_by("revision")] == [
        "林",
        "林女士",
    ]


def test_a_photograph_without_consent_to_keep_it_goes_at_once(world: World) -> None:
    credential = world.people["lin"].credentials.get(method=Method.CARD.value)
    Photo.objects.create(credential=credential, closed=b"x")
    assert retention.run(world.community, "photos", BY).count == 1
    assert not Photo.objects.exists()


def test_people_who_left_long_ago_are_deleted_and_who_lives_here_never(world: World) -> None:
    qian = world.people["qian"]
    home = qian.residencies.get()
    people.move_out(qian, BY)
    home.ends_at = timezone.now() - DAY * 181
    home.save()
    Holder.objects.update(created_at=timezone.now() - DAY * 400)
    assert retention.run(world.community, "left", BY).count == 1
    assert set(Holder.objects.values_list("pk", flat=True)) == {
        world.people["lin"].pk,
        world.people["wang"].pk,
    }
    assert retention.run(world.community, "guests", BY).count == 0


def test_a_limit_above_the_maximum_is_refused_and_a_short_one_warned_of(world: World) -> None:
    with pytest.raises(RuleError):
        retention.set_limits(world.community, {"passages": 366 * 24}, BY)
    with pytest.raises(RuleError):
        retention.set_limits(world.community, {"passages": 0}, BY)
    with pytest.raises(RuleError):
        retention.set_limits(world.community, {"nonsense": 24}, BY)
    assert retention.set_limits(world.community, {"passages": 20 * 24}, BY)
    assert not retention.set_limits(world.community, {"passages": 60 * 24}, BY)
    assert retention.limit_h(world.community, retention.RULES["passages"]) == 60 * 24


def test_the_log_outlives_no_passage_that_is_to_be_kept_longer(
    world: World, journal: Journal
) -> None:
    retention.set_limits(world.community, {"log": 30 * 24}, BY)
    journal.passage(100, world.people["lin"])
    journal.passage(1, world.people["lin"])
    assert retention.run(world.community, "log", BY).count == 0
    assert Event.objects.count() == 2


def test_one_community_s_run_touches_no_other(world: World, journal: Journal) -> None:
    from anlin.hub.console.tests.world import make_world

    other = make_world("邻村")
    theirs = Journal(other)
    passage = theirs.passage(300, other.people["lin"])
    theirs.passage(1, other.people["lin"])
    retention.run_all(world.community, BY)
    passage.refresh_from_db()
    assert not forget.is_forgotten(passage)


def test_refused_cards_of_nobody_are_forgotten_too(world: World, journal: Journal) -> None:
    event = journal.at(
        200,
        EventKind.ACCESS_DENIED,
        world.points["east"].pk,
        reason=Reason.CREDENTIAL_UNKNOWN.value,
        value="04FFFF",
    )
    retention.run(world.community, "passages", BY)
    event.refresh_from_db()
    assert "value" not in event.data


def test_every_run_of_everything_ends(world: World) -> None:
    runs = retention.run_all(world.community, BY, datetime.now(timezone.get_current_timezone()))
    assert [run.kind for run in runs] == list(retention.RULES)
    assert all(run.ended_at for run in runs)
