from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anlin.core.codec import DataError, canonical_json
from anlin.core.policy import Change, Delta
from anlin.core.sync import Beat, Command, CommandKind, Snapshot, from_down, to_down

AT = datetime(2026, 11, 21, 7, 30, tzinfo=UTC)
MESSAGES = [
    Delta(3, 5, (Change(4, "holder", "lin", {"id": "lin"}), Change(5, "holder", "qian"))),
    Delta(5, 5),
    Command(
        1,
        "c-1",
        CommandKind.RELEASE,
        "gate",
        "guo",
        AT,
        AT + timedelta(seconds=10),
        {"why": "包裹"},
    ),
    Beat(AT, 5),
    Snapshot("the hub is at 3"),
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda m: type(m).__name__)
def test_every_message_of_the_down_stream_arrives(message):
    assert from_down(json.loads(canonical_json(to_down(message)))) == message


@pytest.mark.parametrize(
    ("data", "rule"),
    [
        (None, "type is none of delta, command, beat, snapshot"),
        ([], "type is none of"),
        ({}, "type is none of"),
        ({"type": "open_everything"}, "type is none of"),
        ({"type": []}, "type is none of"),
        ({"type": {}}, "type is none of"),
        ({"type": None}, "type is none of"),
        ({"type": "beat"}, "Beat.at: missing"),
        ({"type": "beat", "at": AT.isoformat(), "revision": "5"}, "Beat.revision: expected int"),
        ({"type": "delta", "after": 0, "upto": 1, "changes": [{}]}, "Change.revision: missing"),
        ({**to_down(MESSAGES[2]), "kind": "dance"}, "Command.kind: 'dance' is not one of"),
        ({**to_down(MESSAGES[3]), "extra": 1}, "unknown fields"),
    ],
)
def test_a_wrong_message_is_refused_with_its_rule(data, rule):
    with pytest.raises(DataError, match=rule):
        from_down(data)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["type", "after", "upto", "changes", "at"]), inner)
        ),
        max_leaves=6,
    )
)
def test_no_data_raises_anything_but_a_data_error(data):
    with pytest.raises(DataError):
        from_down(data)
