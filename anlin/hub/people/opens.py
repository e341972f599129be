"""What a person can open now, and why: every access point asked as a gate would ask.

It is `core.access.decide` that answers, on the newest policy, with nobody else being there. Where
the person has nothing to show at a point, a card that they don't have stands in for it, so that
the answer still says whether a rule would admit them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.utils.functional import Promise

from anlin.core import entities as core
from anlin.core.access import (
    NORMAL,
    Decision,
    Evidence,
    Liveness,
    Presentation,
    Reason,
    decide,
)
from anlin.core.codec import to_data
from anlin.core.entities import Direction, Method
from anlin.core.explanation import passed
from anlin.core.policy import Change, Delta, Policy
from anlin.core.words import Word
from anlin.hub.access.models import AccessPoint, Credential
from anlin.hub.explain.policy_at import policy_at
from anlin.hub.people.models import Holder
from anlin.hub.reasons import reason_text

_STAND_IN = "stand-in"
_NEEDS_MORE = frozenset(
    {Reason.SECOND_FACTOR_REQUIRED, Reason.SECOND_PERSON_REQUIRED, Reason.ESCORT_REQUIRED}
)
"""Admitted, once something or somebody comes along."""


class Answer(Word):
    """How it ends at one access point."""

    OPENS = "opens"
    FREE = "free"
    NOTHING_TO_SHOW = "nothing_to_show"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Opening:
    """One access point: what admits there and by what, or what refuses."""

    point: AccessPoint
    answer: Answer
    methods: tuple[str, ...] = ()
    rule: str = ""
    schedule: str = ""
    """By which times the rule admits; empty: at all times."""
    why: str | Promise = ""
    """The sentence of a refusal, or of what has to come beside it."""


def opens(holder: Holder, at: datetime) -> list[Opening]:
    """Ask at every access point of the community, in the order of their names."""
    community = holder.community
    points = list(
        AccessPoint.objects.filter(portal__community=community)
        .select_related("portal")
        .order_by("name", "pk")
    )
    if not points or not community.policy_revision:
        return []
    credentials = list(holder.credentials.exclude(status=core.Status.REVOKED.value))
    policy = _with_stand_ins(
        policy_at(
            community,
            community.policy_revision,
            holders=[holder.pk],
            credentials=[one.pk for one in credentials],
        ),
        holder,
    )
    return [_opening(policy, point, credentials, at) for point in points]


def _opening(
    policy: Policy, point: AccessPoint, credentials: Sequence[Credential], at: datetime
) -> Opening:
    if point.direction == Direction.EXIT.value:
        return Opening(point, Answer.FREE)
    tried = [
        (method, decide(policy, _shown(point, method, one.key, at), NORMAL, at))
        for method in point.methods
        for one in credentials
        if _is_shown_as(one.method, method)
    ]
    granted = [(method, one) for method, one in tried if one.is_granted]
    if granted:
        methods = dict.fromkeys(method for method, _ in granted)
        return _admitted(policy, point, granted[0][1], Answer.OPENS, tuple(methods))
    halfway = [(m, one) for m, one in tried if one.reason in _NEEDS_MORE]
    if halfway:
        methods = dict.fromkeys(method for method, _ in halfway)
        return _admitted(policy, point, halfway[0][1], Answer.OPENS, tuple(methods))
    stand_in = _stand_in(policy, point, at)
    is_admitted = stand_in is not None and (stand_in.is_granted or stand_in.reason in _NEEDS_MORE)
    if stand_in is not None and is_admitted and not tried:
        return _admitted(policy, point, stand_in, Answer.NOTHING_TO_SHOW, tuple(point.methods))
    # Where the person may pass, what they show is at fault; otherwise it is the rules.
    candidates = [one for _, one in tried] if is_admitted or stand_in is None else [stand_in]
    if not candidates:
        return Opening(point, Answer.REFUSED, why=reason_text(Reason.METHOD_NOT_ACCEPTED))
    nearest = max(candidates, key=lambda one: len(passed(one.reason)))
    return Opening(point, Answer.REFUSED, why=reason_text(nearest.reason))


def _admitted(
    policy: Policy,
    point: AccessPoint,
    decision: Decision,
    answer: Answer,
    methods: tuple[str, ...],
) -> Opening:
    rule = policy.rules.get(decision.rule or "")
    schedule = policy.schedules.get(rule.schedule or "") if rule is not None else None
    return Opening(
        point,
        answer,
        methods,
        rule.name if rule is not None else "",
        schedule.name if schedule is not None else "",
        "" if decision.is_granted else reason_text(decision.reason),
    )


def _stand_in(policy: Policy, point: AccessPoint, at: datetime) -> Decision | None:
    """Ask with a credential that the person has not got, of a kind that the point accepts."""
    for method in (*_PLAIN, *point.methods):
        if method in point.methods and method in _STANDS_IN:
            return decide(policy, _shown(point, method, _STAND_IN, at), NORMAL, at)
    return None


_PLAIN = (Method.CARD.value, Method.SECURE_CARD.value)
_STANDS_IN = (*_PLAIN, Method.FACE.value, Method.PLATE.value, Method.PHONE.value)


def _with_stand_ins(policy: Policy, holder: Holder) -> Policy:
    revision = policy.revision
    made = (
        core.Credential(f"{_STAND_IN}-{method}", holder.pk, Method(method), _STAND_IN)
        for method in _STANDS_IN
    )
    changes = tuple(
        Change(revision + n, "credential", one.id, to_data(one))
        for n, one in enumerate(made, start=1)
    )
    policy.apply(Delta(revision, revision + len(changes), changes))
    return policy


def _is_shown_as(method: str, at_point: str) -> bool:
    return method == at_point or (
        method == Method.FACE.value and at_point == Method.TERMINAL_FACE.value
    )


def _shown(point: AccessPoint, method: str, key: str, at: datetime) -> Presentation:
    """Show something in a good picture: the question is who may, not how well a camera sees."""
    kind = Method(method)
    if kind is Method.PLATE:
        evidence = Evidence(vehicle_present=True)
    elif kind in (Method.FACE, Method.TERMINAL_FACE):
        evidence = Evidence(masked=False, liveness=Liveness.LIVE)
    else:
        evidence = Evidence()
    return Presentation(point.pk, kind, key, at, evidence)


def counted(openings: Iterable[Opening]) -> dict[str, int]:
    """Count the answers, for a page's headline."""
    counts = dict.fromkeys((answer.value for answer in Answer), 0)
    for one in openings:
        counts[one.answer.value] += 1
    return counts
