from __future__ import annotations

from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anlin.core.codec import canonical_json, from_data, to_data
from anlin.core.event import GENESIS, Draft, Event, EventKind, chain, is_intact

AT = datetime(2026, 11, 21, 7, 30, tzinfo=UTC)
DRAFT = Draft(EventKind.ACCESS_GRANTED, "gate-in", AT, {"holder": "lin", "level": 1}, 7)

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
drafts = st.builds(
    Draft,
    st.sampled_from(EventKind),
    texts,
    st.integers(0, 10**9).map(lambda ms: AT + timedelta(milliseconds=ms)),
    st.dictionaries(texts, st.none() | st.booleans() | st.integers() | texts, max_size=4),
    st.integers(0, 10**9),
)


def journal(entries: list[Draft]) -> list[Event]:
    events: list[Event] = []
    for seq, draft in enumerate(entries, start=1):
        previous = events[-1].hash if events else GENESIS
        events.append(chain(draft, "node-1", 3, seq, previous))
    return events


def content(what: Draft | Event) -> bytes:
    # Compared as bytes, because to Python 1, 1.0 and True are equal.
    return canonical_json(
        [what.kind, what.subject, to_data(what.at), to_data(what.data), what.revision]
    )


OTHER = {
    "node": "node-2",
    "boot": 4,
    "seq": 2,
    "at": AT + timedelta(microseconds=1),
    "kind": EventKind.ACCESS_DENIED,
    "subject": "gate-out",
    "data": {"holder": "wang", "level": 1},
    "revision": 8,
    "previous": "1" + GENESIS[1:],
    "hash": "f" * 64,
}


def test_the_table_below_alters_every_field():
    assert set(OTHER) == {field.name for field in fields(Event)}


@pytest.mark.parametrize("name", OTHER)
def test_an_event_of_which_any_field_was_altered_is_not_intact(name):
    (event,) = journal([DRAFT])
    assert is_intact(event)
    assert not is_intact(replace(event, **{name: OTHER[name]}))


@pytest.mark.parametrize(
    "data",
    [
        {"holder": "lin", "level": 2},
        {"holder": "lin", "level": "1"},
        {"holder": "lin", "level": True},
        {"holder": "lin", "level": 1.0},
        {"holder": "lin", "level": None},
        {"holder": "lin"},
        {"holder": "lin", "level": 1, "rule": ""},
        {},
    ],
)
def test_data_altered_in_value_type_or_presence_is_noticed(data):
    (event,) = journal([DRAFT])
    assert not is_intact(replace(event, data=data))


@given(st.lists(drafts, min_size=1, max_size=5), st.data())
def test_whatever_is_altered_in_a_journal_shows_where(entries, data):
    events = journal(entries)
    assert all(map(is_intact, events))
    place = data.draw(st.integers(0, len(events) - 1))
    other = data.draw(drafts)
    event = events[place]
    same = content(other) == content(event)
    forged = replace(
        event,
        kind=other.kind,
        subject=other.subject,
        at=other.at,
        data=other.data,
        revision=other.revision,
    )
    assert is_intact(forged) is same
    # To forge one event well is to break the next.
    rehashed = chain(other, event.node, event.boot, event.seq, event.previous)
    assert same or rehashed.hash != event.hash


@given(drafts)
def test_an_event_is_still_intact_after_its_journey(draft):
    (event,) = journal([draft])
    assert is_intact(from_data(Event, to_data(event)))


def test_an_event_drafted_in_another_zone_is_intact_in_utc():
    shanghai = timezone(timedelta(hours=8))
    (event,) = journal([replace(DRAFT, at=AT.astimezone(shanghai))])
    arrived = from_data(Event, to_data(event))
    assert arrived.at.utcoffset() == timedelta(0)
    assert is_intact(arrived)
    assert arrived.hash == journal([DRAFT])[0].hash


def test_text_that_no_file_takes_does_not_break_the_chain():
    (event,) = journal([replace(DRAFT, data={"value": "\ud800"})])
    assert is_intact(event)
    assert is_intact(from_data(Event, to_data(event)))


def test_the_order_of_data_does_not_matter():
    turned = replace(DRAFT, data=dict(reversed(DRAFT.data.items())))
    assert journal([turned])[0].hash == journal([DRAFT])[0].hash
