"""The change log and the view log: the only way in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from django.contrib.auth.models import User
from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.http import HttpRequest
from django.utils import timezone

from anlin.hub.audit.models import Change, View
from anlin.hub.people.models import Community, Holder, StaffProfile

_OBJECT_CHARS = 80


class Via(StrEnum):
    """By which way a person acted."""

    PAGE = "page"
    API = "api"
    COMMAND = "command"


@dataclass(frozen=True, slots=True)
class Actor:
    """The person who acts, named in every line that is written about it."""

    name: str
    via: Via
    user: User | None = None

    @classmethod
    def of(cls, request: HttpRequest) -> Actor:
        """Name the member of staff behind a page's request."""
        return cls.staff(request.staff, Via.PAGE)  # type: ignore[attr-defined]

    @classmethod
    def staff(cls, staff: StaffProfile, via: Via) -> Actor:
        return cls(staff.user.get_username(), via, staff.user)

    @classmethod
    def resident(cls, holder: Holder, user: User | None = None) -> Actor:
        """Name a resident who acts for their own home; the id tells two of one name apart."""
        return cls(f"{holder.name} ({holder.pk})", Via.PAGE, user)

    @classmethod
    def command(cls, name: str) -> Actor:
        """Name a program that a person started on the hub's own machine."""
        return cls(name, Via.COMMAND)


def state_of(obj: models.Model) -> dict[str, Any]:
    """Give an object's fields as JSON data, without those that its model keeps out."""
    hidden: frozenset[str] = getattr(obj, "NOT_AUDITED", frozenset())
    encode = DjangoJSONEncoder().default
    plain = (str, int, float, bool, list, dict, type(None))
    values = {
        field.attname: getattr(obj, field.attname)
        for field in obj._meta.concrete_fields
        if field.attname not in hidden and not field.primary_key
    }
    return {
        name: value if isinstance(value, plain) else encode(value) for name, value in values.items()
    }


def created(by: Actor, community: Community, *objects: models.Model, action: str = "add") -> None:
    """Write that objects came to be."""
    Change.objects.bulk_create(
        _line(by, community, action, obj, None, state_of(obj)) for obj in objects
    )


def deleted(by: Actor, community: Community, *objects: models.Model, action: str) -> None:
    """Write that objects are going; call it while they still have their id."""
    Change.objects.bulk_create(
        _line(by, community, action, obj, state_of(obj), None) for obj in objects
    )


@contextmanager
def changing(by: Actor, community: Community, obj: models.Model, action: str) -> Iterator[None]:
    """Save an object on the way out and write what differs from how it came in."""
    before = state_of(obj)
    yield
    obj.save()
    after = state_of(obj)
    differs = [name for name in after if after[name] != before[name]]
    _line(
        by,
        community,
        action,
        obj,
        {name: before[name] for name in differs},
        {name: after[name] for name in differs},
    ).save()


def all_changed(
    by: Actor,
    community: Community,
    pairs: Iterable[tuple[models.Model, dict[str, Any]]],
    action: str,
) -> None:
    """Write what differs in many objects, saved together, from their `state_of` before."""
    lines = []
    for obj, before in pairs:
        after = state_of(obj)
        differs = [name for name in after if after[name] != before[name]]
        was, is_now = ({name: state[name] for name in differs} for state in (before, after))
        lines.append(_line(by, community, action, obj, was, is_now))
    Change.objects.bulk_create(lines)


def noted(by: Actor, community: Community, obj: models.Model, action: str, **after: Any) -> None:
    """Write an act that leaves no field changed, such as issuing a code."""
    _line(by, community, action, obj, None, after).save()


def changed(
    by: Actor,
    community: Community,
    obj: models.Model,
    action: str,
    before: dict[str, Any],
    after: dict[str, Any],
) -> None:
    """Write what became of something that is no field of its own, such as a list of others."""
    _line(by, community, action, obj, before, after).save()


def viewed(
    by: Actor, community: Community, what: str, objects: Iterable[str], purpose: str = ""
) -> None:
    """Write that a person looked at these."""
    View.objects.bulk_create(
        View(
            at=timezone.now(),
            community=community,
            who=by.name,
            what=what,
            object_id=object_id[:_OBJECT_CHARS],
            purpose=purpose[:100],
        )
        for object_id in objects
    )


def _line(
    by: Actor,
    community: Community,
    action: str,
    obj: models.Model,
    before: dict[str, Any] | None,
    after: dict[str, Any] | None,
) -> Change:
    return Change(
        at=timezone.now(),
        community=community,
        who=by.name,
        via=by.via.value,
        action=action,
        model=obj._meta.label_lower,
        object_id=str(obj.pk),
        before=before,
        after=after,
    )
