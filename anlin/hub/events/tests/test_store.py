from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from anlin.core.sync import MAX_BATCH_EVENTS
from anlin.hub.conftest import Cast
from anlin.hub.events.models import Event, NodeLog, Quarantine
from anlin.hub.events.store import BatchError, GapError, commit
from anlin.hub.events.tests.helpers import Journal

pytestmark = pytest.mark.django_db(databases=["default", "events"])
NOW = datetime(2026, 5, 1, tzinfo=UTC)


@pytest.fixture
def journal(cast: Cast) -> Journal:
    return Journal(cast.node.pk)


def test_events_are_stored_once_however_often_they_come(cast: Cast, journal: Journal) -> None:
    batch = journal.many(5)
    assert commit(cast.node, batch, NOW).seq == 5
    assert commit(cast.node, batch, NOW).seq == 5
    both = batch[2:] + journal.many(2)
    assert commit(cast.node, both, NOW).seq == 7
    assert list(Event.objects.order_by("pk").values_list("seq", flat=True)) == list(range(1, 8))
    assert not Quarantine.objects.exists()


def test_an_empty_batch_says_how_far_the_log_is(cast: Cast, journal: Journal) -> None:
    commit(cast.node, journal.many(3), NOW)
    assert commit(cast.node, [], NOW).seq == 3


def test_a_gap_before_or_within_a_batch_is_asked_for_and_nothing_is_taken(
    cast: Cast, journal: Journal
) -> None:
    events = journal.many(6)
    for batch in (events[2:], [events[0], events[2]]):
        with pytest.raises(GapError) as caught:
            commit(cast.node, batch, NOW)
    assert caught.value.expected == 2
    assert not Event.objects.exists()


def test_a_batch_out_of_order_or_too_large_is_refused(cast: Cast, journal: Journal) -> None:
    events = journal.many(MAX_BATCH_EVENTS + 1)
    with pytest.raises(BatchError, match="at most"):
        commit(cast.node, events, NOW)
    with pytest.raises(BatchError, match="follows"):
        commit(cast.node, [events[0], events[0]], NOW)
    assert not Event.objects.exists()


Spoil = Callable[[dict[str, Any]], Any]


@pytest.mark.parametrize(
    ("spoil", "rule"),
    [
        (lambda event: {**event, "data": {"reason": "granted"}}, "altered"),
        (lambda event: {**event, "hash": "0" * 64}, "altered"),
        (lambda event: {**event, "kind": "door_eaten"}, "door_eaten"),
        (lambda event: {**event, "at": "yesterday"}, "ISO 8601"),
        (lambda event: {**event, "at": "0001-01-01T00:00:00+14:00"}, ""),
        (lambda event: {**event, "node": "n_other"}, "n_other"),
        (lambda event: {**event, "boot": 2**70}, "63 bits"),
        (lambda event: {**event, "subject": "x" * 65}, "65 characters"),
        (lambda event: {**event, "subject": "\ud800"}, ""),
        (lambda event: {**event, "data": {"x": "y" * 20_000}}, "16384"),
        (lambda event: {**event, "data": {"x": float("nan")}}, ""),
        (lambda event: {**event, "extra": 1}, "extra"),
        (lambda event: {"seq": event["seq"]}, "missing"),
        (lambda event: {}, "missing"),
        (lambda event: "rubbish", "object"),
        (lambda event: None, "object"),
        (lambda event: [event], "object"),
    ],
)
def test_one_bad_record_is_set_aside_by_its_rule_and_blocks_nothing(
    cast: Cast, journal: Journal, spoil: Spoil, rule: str
) -> None:
    events = journal.many(5)
    batch = [*events[:2], spoil(events[2]), *events[3:]]
    committed = commit(cast.node, batch, NOW)
    assert committed.seq == 5
    assert next(refused.seq for refused in committed.refused) == 3
    assert rule in committed.refused[0].rule
    stored = set(Event.objects.values_list("seq", flat=True))
    # Where the record's own hash was changed, the next one can't be tied to it either.
    assert {1, 2, 5} <= stored <= {1, 2, 4, 5}
    # Sent again, it is neither stored nor set aside a second time.
    assert commit(cast.node, batch, NOW).refused == ()
    assert Quarantine.objects.filter(seq=3).count() == 1


def test_an_event_put_in_place_of_one_that_is_stored_is_set_aside(
    cast: Cast, journal: Journal
) -> None:
    commit(cast.node, journal.many(3), NOW)
    forged = Journal(cast.node.pk).many(3)
    forged[1]["subject"] = "ap_forged"
    committed = commit(cast.node, forged, NOW)
    assert committed.seq == 3
    assert Event.objects.filter(subject="ap_forged").count() == 0
    assert Quarantine.objects.filter(rule__contains="differs").exists()


def test_a_journal_that_was_cut_and_sewn_shows_where(cast: Cast, journal: Journal) -> None:
    commit(cast.node, journal.many(2), NOW)
    sewn = Journal(cast.node.pk)
    sewn.seq, sewn.hash = 2, "f" * 64
    committed = commit(cast.node, sewn.many(3), NOW)
    assert [refused.seq for refused in committed.refused] == [3]
    assert "chain broken" in committed.refused[0].rule
    assert NodeLog.objects.get(pk=cast.node.pk).seq == 5
