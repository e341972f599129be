"""A decision explained: decided again on what was recorded, or on what somebody asks about."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext as _

from anlin.core import qr, replay
from anlin.core.access import (
    GRANTS,
    NORMAL,
    Decision,
    Evidence,
    Liveness,
    Presentation,
    Reason,
    State,
)
from anlin.core.entities import HolderKind, Method
from anlin.core.event import Event as CoreEvent
from anlin.core.event import EventKind
from anlin.core.explanation import CHECKS, Checked, explain
from anlin.core.policy import PolicyError
from anlin.hub.access.models import AccessPoint, Credential, VisitorPass
from anlin.hub.access.policy import VISITORS
from anlin.hub.console.words import CHECK
from anlin.hub.events.models import Event
from anlin.hub.explain.advice import advice, nearest
from anlin.hub.explain.policy_at import UnknownRevision, policy_at
from anlin.hub.explain.saw import Case, applies, saw
from anlin.hub.people.models import Building, Community, Holder
from anlin.hub.reasons import reason_text


@dataclass(frozen=True, slots=True)
class Line:
    """One check as it is shown. `outcome` is passed, fell, not_applicable or not_reached."""

    name: str
    text: str | Promise
    outcome: str
    saw: str = ""


@dataclass(frozen=True, slots=True)
class Explained:
    """Why a decision fell, for a page.

    `lines` are empty where it can't be decided again; `note` then says why. `defect` says how a
    decision that was decided again differs from the one recorded: our own fault, whatever it is.
    """

    lines: tuple[Line, ...] = ()
    is_granted: bool = False
    sentence: str = ""
    rule: str = ""
    nearest: tuple[str, ...] = ()
    advice: str = ""
    is_again: bool = False
    defect: str = ""
    note: str = ""
    ours: str = ""
    revision: int = 0


def explained(event: Event, community: Community) -> Explained | None:
    """Explain an event; None where it is of no decision."""
    if event.kind not in (EventKind.ACCESS_GRANTED, EventKind.ACCESS_DENIED):
        return None
    data: Mapping[str, Any] = event.data if isinstance(event.data, dict) else {}
    is_granted = event.kind == EventKind.ACCESS_GRANTED
    reason = str(data.get("reason") or "")
    if data.get("forgotten") is not None:
        note = _("Whose it was is deleted, since the time for keeping it is over.")
        return _by_reason(reason, is_granted, note)
    if data.get("decided_by") is not None:
        ours = str(data.get("ours") or "")
        return Explained(
            is_granted=is_granted,
            sentence=str(reason_text(reason)),
            note=_("The device decided by itself, by its own table, and told it afterwards."),
            ours=str(reason_text(ours)) if ours else "",
        )
    core = _core(event)
    try:
        policy = policy_at(
            community,
            event.revision,
            holders=_texts(data.get("holder"), _inner(data, "leave", "holder")),
            credentials=_texts(data.get("credential")),
            keys=_keys(data),
            passes=_texts(data.get("pass")),
        )
        again = replay.again(core, policy)
        defect = replay.fault(core, policy)
        presentation, state = replay.inputs(core, policy)
    except UnknownRevision:
        note = _("It can't be decided again: the hub has no rules numbered %(n)s.")
        return _by_reason(reason, is_granted, note % {"n": event.revision})
    except (replay.NoDecision, PolicyError) as error:
        note = _("It can't be decided again: %(why)s") % {"why": error}
        return _by_reason(reason, is_granted, note)
    names = _names(community, policy.holders, again.decision, state)
    case = Case(policy, presentation, state, again.decision, event.at, names)
    shown = _shown(case, again.checks)
    if not defect:
        return shown
    # What was recorded stands: the gate did that, whatever we think of it today.
    recorded = _by_reason(reason, is_granted, "", case)
    return Explained(
        recorded.lines,
        is_granted,
        recorded.sentence,
        is_again=True,
        defect=defect,
        revision=event.revision,
    )


@dataclass(frozen=True, slots=True)
class Asked:
    """What somebody would show: a credential, a pass, or a means that they have not got."""

    method: Method
    credential: Credential | None = None
    leave: VisitorPass | None = None


def what_if(
    community: Community, holder: Holder, asked: Asked, point: AccessPoint, at: datetime
) -> Explained:
    """Decide by the newest rules what would happen, nobody else being there; opens nothing."""
    credential = asked.credential
    policy = policy_at(
        community,
        community.policy_revision,
        holders=[holder.pk],
        credentials=[credential.pk] if credential is not None else (),
        passes=[asked.leave.pk] if asked.leave is not None else (),
    )
    presentation = Presentation(
        point.pk,
        asked.method,
        credential.key if credential is not None else replay.UNKNOWN,
        at,
        _good_evidence(asked.method),
        _pass(asked.leave) if asked.leave is not None else None,
    )
    state = State(pass_used=asked.leave.used) if asked.leave is not None else NORMAL
    decision, checks = explain(policy, presentation, state, at)
    names = _names(community, policy.holders, decision, state)
    return _shown(Case(policy, presentation, state, decision, at, names), checks)


def _good_evidence(method: Method) -> Evidence:
    """Give what a good picture shows: the question is who may, not how well a camera sees."""
    if method is Method.PLATE:
        return Evidence(vehicle_present=True)
    if method in (Method.FACE, Method.TERMINAL_FACE):
        return Evidence(masked=False, liveness=Liveness.LIVE)
    return Evidence()


def _pass(leave: VisitorPass) -> qr.Pass:
    is_visitor = leave.holder.kind == HolderKind.VISITOR
    return qr.Pass(
        id=leave.pk,
        community=leave.community_id,
        issuer=leave.community_id,
        holder=leave.holder_id,
        not_before=leave.not_before,
        not_after=leave.not_after,
        points=tuple(leave.points),
        uses=leave.uses,
        group=VISITORS if is_visitor else None,
        label=leave.holder.label,
    )


def _shown(case: Case, checks: Iterable[Checked]) -> Explained:
    decision = case.decision
    rule = case.policy.rules.get(decision.rule or "")
    is_admitted = rule is not None and decision.reason is Reason.GRANTED
    return Explained(
        tuple(_line(check, case) for check in checks),
        decision.is_granted,
        str(reason_text(decision.reason)),
        rule.name if rule is not None and is_admitted else "",
        tuple(nearest(case)),
        advice(case),
        is_again=True,
        revision=case.policy.revision,
    )


def _line(check: Checked, case: Case) -> Line:
    text = CHECK[check.name]
    if check.outcome == "not_reached":
        return Line(check.name, text, "not_reached")
    if check.outcome == "passed" and not applies(check.name, case):
        return Line(check.name, text, "not_applicable")
    outcome = "passed" if check.outcome == "passed" else "fell"
    return Line(check.name, text, outcome, saw(check.name, case))


def _by_reason(reason: str, is_granted: bool, note: str, case: Case | None = None) -> Explained:
    """Show the checks by the recorded reason alone, with nothing of what they saw."""
    fell = next((n for n, check in enumerate(CHECKS) if reason in check.reasons), len(CHECKS))
    is_known = fell < len(CHECKS) or reason in GRANTS
    lines = tuple(
        Line(
            check.name,
            CHECK[check.name],
            _outcome(n, fell, case is None or applies(check.name, case)),
        )
        for n, check in enumerate(CHECKS)
    )
    return Explained(lines if is_known else (), is_granted, str(reason_text(reason)), note=note)


def _outcome(n: int, fell: int, is_asked: bool) -> str:
    if n >= fell:
        return "fell" if n == fell else "not_reached"
    return "passed" if is_asked else "not_applicable"


def _core(event: Event) -> CoreEvent:
    return CoreEvent(
        event.node,
        event.boot,
        event.seq,
        event.at,
        EventKind(event.kind),
        event.subject,
        event.data if isinstance(event.data, dict) else {},
        event.revision,
        event.previous,
        event.hash,
    )


def _keys(data: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Name the credential that would have been found, where none was by its id."""
    value, method = data.get("value"), data.get("method")
    if data.get("credential") or not isinstance(value, str) or not isinstance(method, str):
        return []
    return [(method, value)]


def _inner(data: Mapping[str, Any], name: str, inner: str) -> Any:
    value = data.get(name)
    return value.get(inner) if isinstance(value, dict) else None


def _texts(*values: Any) -> list[str]:
    return [value for value in values if isinstance(value, str)]


def _names(
    community: Community, holders: Iterable[str], decision: Decision, state: State
) -> dict[str, str]:
    """Name people and buildings as they are called now."""
    ids = {*holders, decision.holder or ""}
    if state.companion is not None:
        ids.add(state.companion.holder)
    people = Holder.objects.filter(pk__in=ids, community=community)
    buildings = Building.objects.filter(community=community)
    return dict(people.values_list("pk", "name")) | dict(buildings.values_list("pk", "name"))
