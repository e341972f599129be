"""Who may pass where, as a table: what rules say of a group itself, and what others say of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from django.utils.translation import gettext as _

from anlin.core.entities import Direction
from anlin.hub.access.models import AccessPoint, AccessRule
from anlin.hub.access.policy import community_group
from anlin.hub.access.setup import group_names
from anlin.hub.people.models import Community


@dataclass(frozen=True, slots=True)
class Cell:
    """A group at a way in."""

    group: str
    is_off: bool
    is_always: bool
    schedules: str
    """Names of the schedules by which rules for the group itself admit."""
    also: tuple[str, ...]
    """Sentences: by which rule for another group this group, or a part of it, passes as well."""
    is_whole: bool
    """Whether what else admits, admits everybody of the group."""


@dataclass(frozen=True, slots=True)
class Line:
    """A way in with a cell for each group."""

    point: AccessPoint
    cells: tuple[Cell, ...]


def table(community: Community, now: datetime) -> tuple[list[str], list[Line]]:
    """Give the names of the groups, and the ways in with whom they admit by the rules of now."""
    names = group_names(community)
    points = (
        AccessPoint.objects.filter(portal__community=community, direction=Direction.ENTRY.value)
        .select_related("portal")
        .prefetch_related("rules__schedule")
        .order_by("portal__name", "name")
    )
    everybody = community_group(community.pk)
    return list(names.values()), [
        Line(point, tuple(_cell(point, group, names, everybody, now) for group in names))
        for point in points
    ]


def wider(group: str, everybody: str) -> tuple[str, ...]:
    """List the groups to which everybody of a group belongs as well."""
    return (everybody,) if group.startswith("building:") else ()


def _cell(
    point: AccessPoint, group: str, names: Mapping[str, str], everybody: str, now: datetime
) -> Cell:
    rules = sorted(
        (rule for rule in point.rules.all() if _is_in_force(rule, now)),
        key=lambda rule: (rule.name, rule.pk),
    )
    admitting = [rule for rule in rules if group in rule.groups]
    is_always = any(rule.schedule is None for rule in admitting)
    wide = wider(group, everybody)
    narrow = [other for other in names if group in wider(other, everybody)]
    also: list[str] = []
    if not is_always:
        also += _told(rules, wide, names)
        also += _told(rules, narrow, names)
    return Cell(
        names[group],
        not point.is_enabled,
        is_always,
        _(", ").join(sorted({rule.schedule.name for rule in admitting if rule.schedule})),
        tuple(also),
        any(set(rule.groups) & set(wide) for rule in rules),
    )


def _told(
    rules: Iterable[AccessRule], groups: Iterable[str], names: Mapping[str, str]
) -> list[str]:
    return [
        _("%(group)s pass by the rule “%(rule)s”, %(when)s")
        % {
            "group": names[group],
            "rule": rule.name,
            "when": rule.schedule.name if rule.schedule is not None else _("at all times"),
        }
        for group in groups
        for rule in rules
        if group in rule.groups
    ]


def _is_in_force(rule: AccessRule, now: datetime) -> bool:
    return (rule.valid_from is None or rule.valid_from <= now) and (
        rule.valid_until is None or now < rule.valid_until
    )
