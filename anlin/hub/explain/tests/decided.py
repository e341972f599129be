"""Decisions as an edge makes and records them: by the whole policy, with what they looked at."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.utils import timezone

from anlin.core.access import NORMAL, Evidence, Presentation, State, decide
from anlin.core.codec import to_data
from anlin.core.entities import Method
from anlin.core.event import EventKind
from anlin.core.policy import Delta, Policy
from anlin.core.qr import Pass
from anlin.hub.access.policy import delta_for
from anlin.hub.console.tests.world import World
from anlin.hub.events.models import Event

_SHOWABLE = (Method.CARD, Method.SECURE_CARD)


def whole_policy(world: World) -> Policy:
    """Give everything that the edge holds."""
    delta = delta_for(world.node, 0)
    assert isinstance(delta, Delta)
    policy = Policy()
    policy.apply(delta)
    world.community.refresh_from_db()
    return policy


def decided(
    world: World,
    point: str,
    method: Method,
    value: str,
    *,
    state: State = NORMAL,
    evidence: Evidence | None = None,
    leave: Pass | None = None,
    at: datetime | None = None,
    **spoilt: Any,
) -> Event:
    """Let something be shown; give the event, with `spoilt` written over what it records."""
    at = at or timezone.now()
    policy = whole_policy(world)
    evidence = evidence or Evidence()
    shown = Presentation(world.points[point].pk, method, value, at, evidence, leave)
    decision = decide(policy, shown, state, at)
    usual = to_data(NORMAL)
    data: dict[str, Any] = {
        "reason": decision.reason.value,
        "method": method.value,
        "point": decision.point,
        "portal": world.portals[point].pk,
        "holder": decision.holder,
        "label": decision.label,
        "credential": decision.credential,
        "rule": decision.rule,
        "level": decision.level,
        **to_data(evidence),
        "state": {k: v for k, v in to_data(state).items() if usual.get(k) != v},
    }
    if leave is not None:
        data |= {"pass": leave.id, "leave": to_data(leave)}
    if method is Method.PLATE or (decision.credential is None and method in _SHOWABLE):
        data["value"] = value
    data = {key: value for key, value in data.items() if value not in (None, "", {})} | spoilt
    kind = EventKind.ACCESS_GRANTED if decision.is_granted else EventKind.ACCESS_DENIED
    return world.happened(kind, decision.point, data, at)
