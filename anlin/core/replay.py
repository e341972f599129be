"""A decision from its record: the same inputs again, and the same answer, or a defect.

An event of a decision holds what the decision looked at beside the policy: evidence, state, age.
With the policy of its revision that is all there was.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from anlin.core.access import Decision, Evidence, Presentation, Reason, State, decide
from anlin.core.codec import DataError, from_data
from anlin.core.entities import Credential, Method
from anlin.core.event import Event, EventKind
from anlin.core.explanation import Checked, explain
from anlin.core.policy import Policy
from anlin.core.qr import Pass

_EVIDENCE = frozenset(Evidence.__dataclass_fields__)

UNKNOWN = "\x00"
"""Stands for a value that was not recorded because it was nobody's: no credential has it."""


class NoDecision(ValueError):
    """An event that records no decision of this software; says why."""


@dataclass(frozen=True, slots=True)
class Again:
    """A decision as it was recorded and as it falls again."""

    recorded: Reason
    decision: Decision
    checks: tuple[Checked, ...]

    @property
    def difference(self) -> str:
        """Say where the two differ, or nothing."""
        if self.decision.reason is not self.recorded:
            return f"recorded {self.recorded}, decided again {self.decision.reason}"
        return ""


def is_decision(event: Event) -> bool:
    """Whether an event records a decision that this software made."""
    return (
        event.kind in (EventKind.ACCESS_GRANTED, EventKind.ACCESS_DENIED)
        and event.data.get("decided_by") is None
    )


def again(event: Event, policy: Policy) -> Again:
    """Decide once more on what an event records, by the policy of its revision.

    Raises:
        NoDecision: the event is of another kind, a device decided, or its data is not ours.
    """
    if not is_decision(event):
        raise NoDecision(f"event {event.seq}: a {event.kind} of {event.subject} is no decision")
    try:
        presentation, state = inputs(event, policy)
        recorded = Reason(str(event.data["reason"]))
    except (DataError, KeyError, ValueError) as error:
        raise NoDecision(f"event {event.seq}: {error}") from error
    decision, checks = explain(policy, presentation, state, event.at)
    return Again(recorded, decision, checks)


@dataclass(frozen=True, slots=True)
class Difference:
    """The first thing in which a decision that fell again is not as it was recorded."""

    name: str
    """reason, holder, credential, rule or level."""
    recorded: str
    again: str

    def __str__(self) -> str:
        return f"{self.name}: recorded {self.recorded}, decided again {self.again}"


def fault(event: Event, policy: Policy) -> str:
    """Say in English how an event's decision differs when it falls again, or nothing.

    Raises:
        NoDecision: as for `again`.
    """
    found = difference(event, policy)
    return "" if found is None else str(found)


def difference(event: Event, policy: Policy) -> Difference | None:
    """Give how an event's decision differs when it falls again; quicker than `again`.

    Raises:
        NoDecision: as for `again`.
    """
    if not is_decision(event):
        raise NoDecision(f"event {event.seq}: is no decision")
    try:
        presentation, state = inputs(event, policy)
        recorded = Reason(str(event.data["reason"]))
    except (DataError, KeyError, ValueError) as error:
        raise NoDecision(f"event {event.seq}: {error}") from error
    decision = decide(policy, presentation, state, event.at)
    data = event.data
    for name, was, now in (
        ("reason", recorded, decision.reason),
        ("holder", data.get("holder"), decision.holder),
        ("credential", data.get("credential"), decision.credential),
        ("rule", data.get("rule"), decision.rule),
        ("level", data.get("level", 0), decision.level),
    ):
        if was != now:
            return Difference(name, str(was), str(now))
    return None


def inputs(event: Event, policy: Policy) -> tuple[Presentation, State]:
    """Give what a decision looked at; a PIN as if it were no duress code, which differs in nothing.

    Raises:
        DataError, KeyError, ValueError: the data is not of a decision.
    """
    data = event.data
    method = Method(str(data["method"]))
    credential = policy.credentials.get(str(data.get("credential") or ""))
    value = _value(data, method, credential)
    leave = from_data(Pass, data["leave"]) if "leave" in data else None
    evidence = from_data(Evidence, {key: data[key] for key in _EVIDENCE & data.keys()})
    presentation = Presentation(
        str(data["point"]),
        method,
        value,
        event.at,
        evidence,
        leave,
        str(data["fault"]) if "fault" in data else None,
        float(data.get("age_s", 0.0)),
    )
    return presentation, from_data(State, data.get("state", {}))


def _value(data: Mapping[str, Any], method: Method, credential: Credential | None) -> str:
    if credential is not None:
        return credential.key
    if "value" in data:
        return str(data["value"])
    # A face or plate that was not read is empty by its reason; everything else was somebody's.
    is_unread = data.get("reason") in (Reason.FACE_NOT_RECOGNISED, Reason.PLATE_NOT_READ)
    return "" if is_unread else UNKNOWN
