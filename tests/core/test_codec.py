from __future__ import annotations

import dataclasses
import json
import types
import typing
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta, timezone
from enum import Enum
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anlin.core import detection, policy, sync
from anlin.core import entities as records
from anlin.core.codec import DataError, canonical_json, from_data, to_data
from anlin.core.event import Event
from anlin.core.qr import Pass
from anlin.core.schedule import Period, SpecialDay

AT = datetime(2026, 11, 21, 7, 30, tzinfo=UTC)

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
times = st.datetimes(
    datetime(1970, 1, 1),  # noqa: DTZ001
    datetime(2100, 1, 1),  # noqa: DTZ001
    timezones=st.sampled_from([UTC, timezone(timedelta(hours=8)), ZoneInfo("Europe/Berlin")]),
).map(lambda moment: moment.astimezone(UTC))
numbers = st.floats(allow_nan=False, allow_infinity=False)
plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | numbers | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)
periods = st.builds(
    Period, st.integers(0, 1439), st.integers(1, 1440), st.lists(st.integers(1, 7)).map(tuple)
)


def values(hint: Any) -> st.SearchStrategy[Any]:
    """Make any value that a field of this type may hold."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is types.UnionType:
        return st.one_of([values(item) for item in arguments])
    if origin is tuple:
        return st.lists(values(arguments[0]), max_size=3).map(tuple)
    if origin is not None:
        return st.dictionaries(texts, values(arguments[1]), max_size=3)
    known = {str: texts, datetime: times, float: numbers, Any: plain, Period: periods}
    known |= {bool: st.booleans(), int: st.integers(-(2**63), 2**63 - 1), type(None): st.none()}
    if hint in known:
        return known[hint]
    if dataclasses.is_dataclass(hint):
        return entities(hint)
    return (
        st.sampled_from(hint) if isinstance(hint, type) and issubclass(hint, Enum) else st.dates()
    )


def entities(cls: type) -> st.SearchStrategy[Any]:
    """Make any entity of a class, by its own type hints."""
    hints = typing.get_type_hints(cls)
    return st.builds(
        cls, **{field.name: values(hints[field.name]) for field in dataclasses.fields(cls)}
    )


TRAVELLERS = [
    *records.KINDS.values(),
    policy.Change,
    policy.Delta,
    Pass,
    Event,
    sync.Enrol,
    sync.Enrolled,
    sync.Command,
    sync.Beat,
    sync.Snapshot,
    sync.Batch,
    sync.Committed,
    detection.Configure,
    detection.GalleryAdd,
    detection.GalleryRemove,
    detection.WorkerReady,
    detection.WorkerState,
    detection.FaceSeen,
    detection.PlateSeen,
]


@pytest.mark.parametrize("cls", TRAVELLERS, ids=lambda cls: cls.__name__)
def test_everything_that_travels_arrives_as_it_left(cls):
    @settings(max_examples=25)
    @given(entities(cls))
    def arrives(entity):
        wire = canonical_json(to_data(entity))
        arrived = from_data(cls, json.loads(wire))
        assert arrived == entity
        assert type(arrived) is cls
        assert canonical_json(to_data(arrived)) == wire

    arrives()


@pytest.mark.parametrize("cls", TRAVELLERS, ids=lambda cls: cls.__name__)
def test_a_field_that_may_be_none_is_none_when_it_is_left_out(cls):
    # None is not written, so any other default would come back in its place.
    hints = typing.get_type_hints(cls)
    for item in dataclasses.fields(cls):
        if type(None) in typing.get_args(hints[item.name]):
            assert item.default is None, item.name


@dataclass(frozen=True, slots=True)
class Inner:
    count: int = 0


@dataclass(frozen=True, slots=True)
class Sample:
    text: str
    number: int = 0
    ratio: float = 0.0
    flag: bool = False
    at: datetime | None = None
    day: date | None = None
    kind: records.Method = records.Method.CARD
    pair: tuple[int, str] = (0, "")
    many: tuple[int, ...] = ()
    names: frozenset[str] = frozenset()
    inner: Inner = field(default_factory=Inner)
    free: Any = None
    by_name: dict[str, int] = field(default_factory=dict)
    period: Period | None = None


@pytest.mark.parametrize(
    ("changed", "rule"),
    [
        ({"text": 7}, "Sample.text: expected str, got 7"),
        ({"text": None}, "Sample.text: expected str, got None"),
        ({"number": True}, "Sample.number: expected int, got True"),
        ({"number": 1.0}, "Sample.number: expected int, got 1.0"),
        ({"number": "1"}, "Sample.number: expected int, got '1'"),
        ({"ratio": "1"}, "Sample.ratio: expected int or float, got '1'"),
        ({"ratio": False}, "Sample.ratio: expected int or float, got False"),
        ({"ratio": float("nan")}, "Sample.ratio: expected a finite number, got nan"),
        ({"ratio": float("-inf")}, "Sample.ratio: expected a finite number"),
        ({"ratio": 10**400}, "Sample.ratio: expected a finite number, got 1000"),
        ({"ratio": 10**5000}, "Sample.ratio: expected a finite number, got int too large to show"),
        ({"flag": 1}, "Sample.flag: expected bool, got 1"),
        ({"at": 5}, "Sample.at: expected an ISO 8601 time, got 5"),
        ({"at": "yesterday"}, "Sample.at: expected an ISO 8601 time, got 'yesterday'"),
        ({"at": "2026-11-21T07:30:00"}, "Sample.at: the time '2026-11-21T07:30:00' has no offset"),
        ({"at": "0001-01-01T00:00:00+14:00"}, "Sample.at: expected an ISO 8601 time"),
        ({"at": "9999-12-31T23:59:59-14:00"}, "Sample.at: expected an ISO 8601 time"),
        ({"day": "21.11.2026"}, "Sample.day: expected an ISO 8601 date, got '21.11.2026'"),
        ({"day": 5}, "Sample.day: expected an ISO 8601 date"),
        ({"kind": "song"}, "Sample.kind: 'song' is not one of ['card', 'exit_button'"),
        ({"kind": []}, "Sample.kind: [] is not one of"),
        ({"pair": [1]}, "Sample.pair: expected 2 values, got [1]"),
        ({"pair": "ab"}, "Sample.pair: expected 2 values, got 'ab'"),
        ({"pair": ["x", "y"]}, "Sample.pair: expected int, got 'x'"),
        ({"many": 5}, "Sample.many: expected list, got 5"),
        ({"many": [1, "2"]}, "Sample.many: expected int, got '2'"),
        ({"names": "ab"}, "Sample.names: expected list, got 'ab'"),
        ({"names": [1]}, "Sample.names: expected str, got 1"),
        ({"inner": []}, "Inner: expected an object, got []"),
        ({"inner": {"count": "1"}}, "Inner.count: expected int, got '1'"),
        ({"inner": {"size": 1}}, "Inner: unknown fields ['size']"),
        ({"by_name": []}, "Sample.by_name: expected dict, got []"),
        ({"by_name": {"a": "1"}}, "Sample.by_name: expected int, got '1'"),
        ({"surprise": 1, "another": 2}, "Sample: unknown fields ['another', 'surprise']"),
        ({"text": ["x" * 1000]}, "Sample.text: expected str, got ['xxxxxxx"),
        ({"period": {"start_min": 2000, "end_min": 1}}, "Period: period: start 2000 is not within"),
    ],
)
def test_a_wrong_value_is_refused_with_class_field_and_rule(changed, rule):
    with pytest.raises(DataError) as caught:
        from_data(Sample, {"text": "", **changed})
    assert str(caught.value).startswith(rule) or rule in str(caught.value)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("data", [None, 5, "text", [], [{}]])
def test_what_is_no_object_is_refused(data):
    with pytest.raises(DataError, match="Sample: expected an object"):
        from_data(Sample, data)


def test_a_missing_field_is_named():
    with pytest.raises(DataError, match=r"^Sample\.text: missing$"):
        from_data(Sample, {})


def test_every_form_of_field_is_read():
    data = {
        "text": "a",
        "number": 1,
        "ratio": 2,
        "flag": True,
        "at": "2026-11-21T15:30:00+08:00",
        "day": "2026-11-21",
        "kind": "qr",
        "pair": [1, "b"],
        "many": [1, 2],
        "names": ["x"],
        "inner": {"count": 3},
        "free": {"any": ["thing", None]},
        "by_name": {"a": 1},
        "period": {"start_min": 0, "end_min": 60},
    }
    sample = from_data(Sample, data)
    assert sample.ratio == 2.0
    assert type(sample.ratio) is float
    assert sample.at == AT
    assert sample.day == date(2026, 11, 21)
    assert sample.kind is records.Method.QR
    assert sample.pair == (1, "b")
    assert sample.names == frozenset({"x"})
    assert sample.inner == Inner(3)
    assert sample.period == Period(0, 60)
    assert from_data(Sample, to_data(sample)) == sample


@pytest.mark.parametrize(("kind", "cls"), records.KINDS.items())
def test_rubbish_in_any_field_of_any_entity_is_refused_and_nothing_else_happens(kind, cls):
    hints = typing.get_type_hints(cls)

    @settings(max_examples=25)
    @given(entities(cls), st.sampled_from(dataclasses.fields(cls)), plain)
    def refused(entity, where, rubbish):
        data = {**to_data(entity), where.name: rubbish}
        try:
            again = from_data(cls, data)
        except DataError as error:
            text = str(error)
        else:
            text = f"{cls.__name__}: fits"
            assert from_data(cls, to_data(again)) == again
        assert text.startswith((cls.__name__, *_names_inside(hints[where.name])))

    refused()


def _names_inside(hint: Any) -> tuple[str, ...]:
    if dataclasses.is_dataclass(hint):
        inner = [_names_inside(h) for h in typing.get_type_hints(hint).values()]
        return (hint.__name__, hint.__name__.lower(), *(n for names in inner for n in names))
    return tuple(name for item in typing.get_args(hint) for name in _names_inside(item))


@pytest.mark.parametrize("depth", [33, 900, 100_000])
def test_free_data_that_nests_too_deep_is_refused(depth):
    data: Any = 1
    for level in range(depth):
        data = [data] if level % 2 else {"a": data}
    with pytest.raises(DataError, match=r"Sample\.free: nests deeper than 32 levels"):
        from_data(Sample, {"text": "", "free": data})
    with pytest.raises(DataError, match=r"Sample\.text: expected str"):
        from_data(Sample, {"text": data})


def test_free_data_of_a_sane_depth_is_let_through():
    data: Any = 1
    for _ in range(32):
        data = [data]
    assert canonical_json(to_data(from_data(Sample, {"text": "", "free": data})))


def test_half_a_surrogate_pair_becomes_a_question_mark():
    # A device may send "\ud800" in its JSON; a journal that can't write it would stop.
    assert to_data("a\ud800") == "a?"
    assert canonical_json(["\ud800"]) == b'["?"]'
    assert to_data("门 🚪") == "门 🚪"


@given(st.dictionaries(texts, plain), st.randoms(use_true_random=False))
def test_equal_data_gives_equal_bytes(data, random):
    shuffled = list(data.items())
    random.shuffle(shuffled)
    assert canonical_json(dict(shuffled)) == canonical_json(data)
    assert json.loads(canonical_json(data)) == data


def test_canonical_json_is_sorted_tight_and_readable():
    assert canonical_json({"b": 1, "a": "东门"}) == '{"a":"东门","b":1}'.encode()


@pytest.mark.parametrize(
    ("value", "data"),
    [
        (None, None),
        (True, True),
        (1.5, 1.5),
        (records.Method.QR, "qr"),
        (AT.astimezone(ZoneInfo("Asia/Shanghai")), "2026-11-21T07:30:00+00:00"),
        (date(2026, 11, 21), "2026-11-21"),
        ({1: (AT,)}, {"1": ["2026-11-21T07:30:00+00:00"]}),
        (frozenset({"a"}), ["a"]),
        (SpecialDay(date(2026, 11, 21)), {"on": "2026-11-21", "periods": []}),
        (records.Membership("g"), {"group": "g"}),
    ],
)
def test_values_are_written_as_json_can_carry_them(value, data):
    assert to_data(value) == data


@pytest.mark.parametrize("value", [object(), b"bytes", Inner, {"a": object()}])
def test_what_has_no_json_form_is_refused(value):
    with pytest.raises(DataError, match="can't be written as JSON data"):
        to_data(value)


class Metres(float):
    """A number of a kind of its own, as numpy's are."""


def test_a_number_of_another_kind_is_written_as_a_number():
    assert canonical_json(to_data(Metres(1.5))) == b"1.5"


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_a_number_that_json_does_not_have_is_not_written(number):
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical_json([number])


@dataclass
class TwoKinds:
    value: int | str


@dataclass
class NoForm:
    value: complex


@pytest.mark.parametrize("cls", [TwoKinds, NoForm])
def test_a_field_without_a_json_form_is_a_mistake_of_ours(cls):
    with pytest.raises(TypeError, match=rf"{cls.__name__}\.value"):
        from_data(cls, {"value": 1})
