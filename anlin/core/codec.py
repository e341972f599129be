"""Dataclasses to plain JSON data and back, strictly.

One codec serves the policy, the journal, sync and the worker pipe, so a field means the same
wherever it travels. Converters are built once for each class: an edge reads a hundred thousand
records in its first second.
"""

from __future__ import annotations

import collections.abc
import dataclasses
import json
import math
import types
import typing
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from enum import Enum
from functools import cache
from typing import Any, TypeVar

T = TypeVar("T")
_Convert = Callable[..., Any]

_SHOWN_CHARS = 60
"""How much of a wrong value an error repeats: enough to find it, too little to flood a log."""

MAX_DEPTH = 32
"""How deep free-form data may nest: settings and event data need four levels, a stack has few."""


class DataError(ValueError):
    """A value that does not fit its field; the text names class, field, value and rule."""


def canonical_json(data: object) -> bytes:
    """Encode data so that equal data gives equal bytes: sorted keys, no spaces, UTF-8.

    Raises:
        ValueError: NaN or infinity, which JSON can't carry.
    """
    return _CANONICAL.encode(data).encode("utf-8", "replace")


_CANONICAL = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
)


def to_data(value: Any) -> Any:
    """Turn a dataclass, enum, time, tuple or mapping into what JSON can carry.

    Fields that hold their default None are left out, so that old readers meet no new names
    and records stay small.
    """
    kind = type(value)
    if (kind is str and value.isascii()) or kind in _PLAIN:
        return value
    match value:
        case None | bool() | int() | float():
            return value
        case Enum():
            return value.value
        case str():
            # JSON can name half of a surrogate pair; no file and no database takes it.
            return value if value.isascii() else value.encode("utf-8", "replace").decode()
        case datetime():
            return value.astimezone(UTC).isoformat()
        case date():
            return value.isoformat()
        case Mapping():
            return {str(key): to_data(item) for key, item in value.items()}
        case list() | tuple() | set() | frozenset():
            return [to_data(item) for item in value]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        pairs = ((name, getattr(value, name)) for name in _names(type(value)))
        return {name: to_data(item) for name, item in pairs if item is not None}
    raise DataError(f"{type(value).__name__} can't be written as JSON data")


_PLAIN = frozenset({type(None), bool, int, float})
"""Most of what there is; asked for first, because a pattern is slow to try."""


def from_data(cls: type[T], data: Any) -> T:
    """Build one dataclass from JSON data.

    Raises:
        DataError: not an object, a missing or unknown field, or a value of the wrong type.
    """
    result: T = _object(cls)(data)  # type: ignore[arg-type]  # mypy: no class is hashable
    return result


@cache
def _names(cls: type) -> tuple[str, ...]:
    return tuple(field.name for field in dataclasses.fields(cls))


def maker(cls: type[T]) -> Callable[..., T]:
    """Give a constructor of a slotted dataclass that takes every field, by position.

    A frozen class sets its fields one by one through `object.__setattr__`. An unfrozen twin of
    the same slots is filled in a quarter of the time and then becomes an instance of the class:
    worth it where a hundred thousand are made.
    """
    names = _names(cls)  # type: ignore[arg-type]  # mypy: no class is hashable
    twin = dataclasses.make_dataclass(
        cls.__name__, names, bases=cls.__bases__, slots=True, eq=False
    )
    check = getattr(cls, "__post_init__", None)

    def make(*values: Any) -> T:
        made: Any = twin(*values)
        made.__class__ = cls
        if check is not None:
            check(made)
        return made  # type: ignore[no-any-return]

    return make


_ABSENT = object()


@cache
def _object(cls: type) -> _Convert:
    hints = typing.get_type_hints(cls)
    fields = [
        (
            field.name,
            hints[field.name] if hints[field.name] in (str, bool, int) else None,
            _converter(hints[field.name], f"{cls.__name__}.{field.name}"),
            field.default,
            field.default_factory,
        )
        for field in dataclasses.fields(cls)
    ]
    known = frozenset(field[0] for field in fields)
    missing = dataclasses.MISSING
    make: _Convert = maker(cls)

    def convert(data: Any) -> Any:
        if type(data) is not dict:
            raise DataError(f"{cls.__name__}: expected an object, got {_show(data)}")
        if not known.issuperset(data):
            raise DataError(f"{cls.__name__}: unknown fields {_show(sorted(set(data) - known))}")
        values = []
        for name, plain, field_convert, default, factory in fields:
            value = data.get(name, _ABSENT)
            if value is not _ABSENT:
                values.append(value if type(value) is plain else field_convert(value))
            elif default is not missing:
                values.append(default)
            elif factory is not missing:
                values.append(factory())
            else:
                raise DataError(f"{cls.__name__}.{name}: missing")
        try:
            return make(*values)
        except ValueError as error:
            raise DataError(f"{cls.__name__}: {error}") from error

    return convert


def _converter(hint: Any, where: str) -> _Convert:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any or hint is object:
        return lambda data: _free(data, where)
    if origin in (types.UnionType, typing.Union):
        inner = [item for item in arguments if item is not type(None)]
        if len(inner) != 1:
            raise TypeError(f"{where}: only 'X | None' unions have a JSON form")
        convert = _converter(inner[0], where)
        return lambda data: None if data is None else convert(data)
    if origin is tuple:
        items = [_converter(item, where) for item in arguments if item is not ...]
        if ... not in arguments:
            return lambda data: _fixed(items, data, where)
        each = items[0]
        return lambda data: tuple([each(x) for x in _expect(list, data, where)])
    if origin is frozenset:
        item = _converter(arguments[0], where)
        return lambda data: frozenset(item(x) for x in _expect(list, data, where))
    if origin is dict or origin is collections.abc.Mapping:
        item = _converter(arguments[1], where)
        return lambda data: {k: item(v) for k, v in _expect(dict, data, where).items()}
    if hint is datetime:
        return lambda data: _time(data, where)
    if hint is date:
        return lambda data: _date(data, where)
    if hint is float:
        return lambda data: _number(data, where)
    if hint in (str, bool, int):
        return lambda data: _expect(hint, data, where)
    if isinstance(hint, type) and issubclass(hint, Enum):
        return _member_of(hint, where)
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return _object(hint)
    raise TypeError(f"{where}: {hint!r} has no JSON form")


def _fixed(items: list[_Convert], data: Any, where: str) -> tuple[Any, ...]:
    if type(data) is not list or len(data) != len(items):
        raise DataError(f"{where}: expected {len(items)} values, got {_show(data)}")
    return tuple(convert(item) for convert, item in zip(items, data, strict=True))


def _expect(kind: Any, data: Any, where: str) -> Any:
    # bool is an int to Python; it is not one to a protocol.
    if not isinstance(data, kind) or (isinstance(data, bool) and kind is not bool):
        wanted = " or ".join(k.__name__ for k in (kind if isinstance(kind, tuple) else (kind,)))
        raise DataError(f"{where}: expected {wanted}, got {_show(data)}")
    return data


def _number(data: Any, where: str) -> float:
    try:
        number = float(_expect((int, float), data, where))
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise DataError(f"{where}: expected a finite number, got {_show(data)}")
    return number


def _free(data: Any, where: str, depth: int = MAX_DEPTH) -> Any:
    """Let any JSON data through that does not nest too deep to be written again."""
    if isinstance(data, dict | list):
        if not depth:
            raise DataError(f"{where}: nests deeper than {MAX_DEPTH} levels")
        for item in data.values() if isinstance(data, dict) else data:
            _free(item, where, depth - 1)
    return data


def _member_of(hint: type[Enum], where: str) -> _Convert:
    members = {member.value: member for member in hint}

    def convert(data: Any) -> Any:
        try:
            return members[data]
        except (KeyError, TypeError):
            raise DataError(f"{where}: {_show(data)} is not one of {sorted(members)}") from None

    return convert


def _time(data: Any, where: str) -> datetime:
    try:
        moment = datetime.fromisoformat(data)
        if moment.tzinfo is None:
            raise DataError(f"{where}: the time {_show(data)} has no offset from UTC")
        return moment.astimezone(UTC)
    except DataError:
        raise
    except (TypeError, ValueError, OverflowError):
        raise DataError(f"{where}: expected an ISO 8601 time, got {_show(data)}") from None


def _date(data: Any, where: str) -> date:
    try:
        return date.fromisoformat(data)
    except (TypeError, ValueError):
        raise DataError(f"{where}: expected an ISO 8601 date, got {_show(data)}") from None


def _show(data: Any) -> str:
    try:
        text = repr(data)
    except (ValueError, RecursionError):
        # Python prints no int of more than 4300 digits, and no list in a thousand lists.
        text = f"{type(data).__name__} too large to show"
    return text if len(text) <= _SHOWN_CHARS else text[:_SHOWN_CHARS] + "…"
