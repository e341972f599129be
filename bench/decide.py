"""One decision: 50,000 holders x 200 access points, every check on, beside Cedar and Casbin.

Each peer gets the same rules in its own words and everything it needs in the form it likes
best, prepared before the clock starts: identity, local weekday and minute, assurance level.
Answers are compared one by one.
"""

from __future__ import annotations

import gc
import json
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

from anlin.core.access import (
    PASS_SKEW,
    Evidence,
    FirstFactor,
    Liveness,
    Mode,
    Presentation,
    State,
    assurance,
    decide,
)
from anlin.core.entities import Method, Status
from anlin.core.policy import Policy
from anlin.core.qr import Pass
from anlin.core.schedule import Period, Schedule
from bench.report import Figure, Skipped, quantile, say
from bench.rig.community import BUILDINGS, POINTS, SCHEDULES, YEAR, ZONE, City, city

REQUESTS = 10_000
BLOCK = 250
"""Requests answered by one engine before the next takes the same ones."""

FOREVER = 2**40
SECONDS_WAITED = 5.0


@dataclass(frozen=True, slots=True)
class Request:
    """One presentation with its state and time, and the same for the peers."""

    presentation: Presentation
    state: State
    at: datetime
    cedar: dict[str, Any]
    casbin: tuple[str, Any, Any]


def run() -> Iterator[Figure]:
    """Ask the same questions of every engine, block by block."""
    try:
        import casbin
        import cedarpy
    except ModuleNotFoundError as error:
        raise Skipped(f"{error.name} is not installed; it comes with the extra 'bench'") from error
    say("  making the community and its policy")
    place = city()
    policy = place.policy()
    requests = _requests(place, policy)
    say("  telling the peers")
    engines: dict[str, Callable[[Request], bool]] = {
        "anlin": _ours(policy),
        "cedarpy": _cedar(cedarpy, place),
        "pycasbin": _casbin(casbin, place),
    }
    answers: dict[str, list[bool]] = {name: [] for name in engines}
    spent_us: dict[str, list[float]] = {name: [] for name in engines}
    # What was made until here lives as long as the run; no engine shall pay for looking it over.
    gc.collect()
    gc.freeze()
    for engine in engines.values():
        for request in requests[:BLOCK]:
            engine(request)
    for start in range(0, len(requests), BLOCK):
        for name, engine in engines.items():
            said, spent = answers[name], spent_us[name]
            for request in requests[start : start + BLOCK]:
                began = time.perf_counter_ns()
                answer = engine(request)
                ended = time.perf_counter_ns()
                said.append(answer)
                spent.append((ended - began) / 1000)
    granted = sum(answers["anlin"])
    say(f"  {granted:,} of {REQUESTS:,} granted")
    for share, label, target in ((0.5, "p50", None), (0.99, "p99", 10.0)):
        ours = quantile(spent_us["anlin"], share)
        for peer in ("cedarpy", "pycasbin"):
            theirs = quantile(spent_us[peer], share)
            yield Figure(f"decide.{label}", ours, "us", REQUESTS, target, peer, theirs)
    for peer in ("cedarpy", "pycasbin"):
        pairs = zip(answers["anlin"], answers[peer], strict=True)
        different = sum(one != other for one, other in pairs)
        yield Figure(f"decide.mismatches.{peer}", different, "answers", REQUESTS, 0)


# What is asked


def _requests(place: City, policy: Policy) -> list[Request]:
    dice = random.Random(7)
    by_holder: dict[str, list[Any]] = {}
    for credential in place.credentials:
        by_holder.setdefault(credential.holder, []).append(credential)
    return [_request(dice, place, policy, by_holder) for _ in range(REQUESTS)]


def _request(
    dice: random.Random, place: City, policy: Policy, by_holder: dict[str, list[Any]]
) -> Request:
    at = YEAR + timedelta(seconds=dice.randrange(365 * 86400))
    holder = dice.choice(place.holders)
    home = int(dice.choice(holder.memberships).group[1:3])
    building = home if dice.random() < 0.85 else dice.randrange(BUILDINGS)
    number = POINTS - 1 if dice.random() < 0.04 else dice.randrange(POINTS - 1)
    point = policy.points[f"a{building:02}-{number}"]
    credential = dice.choice(by_holder[holder.id])
    leave = _pass(dice, holder.id, at, point.id) if dice.random() < 0.05 else None
    method = Method.QR if leave is not None else credential.method
    value = credential.key if dice.random() < 0.97 else "nobody's"
    evidence = _evidence(dice, method)
    presentation = Presentation(
        point.id,
        method,
        value if leave is None else "",
        at,
        evidence,
        leave,
        age_s=dice.choice((11.0, 60.0)) if dice.random() < 0.01 else dice.random(),
    )
    first = None
    if point.level == 2 and dice.random() < 0.5:
        waited = timedelta(seconds=SECONDS_WAITED)
        first = FirstFactor(holder.id, Method.PIN, 1, at - waited)
    mode = dice.choices((Mode.NORMAL, Mode.LOCKDOWN, Mode.FIRE), (985, 10, 5))[0]
    used = dice.randrange(2) if leave is not None else 0
    state = State(mode, used, first, records=dice.random() < 0.995)
    return Request(
        presentation,
        state,
        at,
        _for_cedar(presentation, state, at),
        _for_casbin(policy, presentation, state, at),
    )


def _evidence(dice: random.Random, method: Method) -> Evidence:
    if method is Method.FACE:
        said = dice.choices((Liveness.LIVE, Liveness.UNKNOWN, Liveness.SPOOF), (90, 7, 3))[0]
        return Evidence(0.8, 0.3, 0.5, 4, "m", dice.random() < 0.04, said)
    if method is Method.PLATE:
        return Evidence(0.9, vehicle_present=dice.choices((True, False, None), (94, 3, 3))[0])
    return Evidence()


def _pass(dice: random.Random, holder: str, at: datetime, point: str) -> Pass:
    begin = at - timedelta(hours=dice.randrange(-1, 12), minutes=30)
    points = ((), (point,), ("elsewhere",))
    return Pass(
        f"v{dice.randrange(4000)}",
        "c1" if dice.random() < 0.95 else "c2",
        "i1",
        holder,
        begin,
        begin + timedelta(hours=8),
        dice.choices(points, (60, 35, 5))[0],
        dice.choice((0, 1, 3)),
    )


def _level(presentation: Presentation, state: State) -> int:
    first = state.first_factor.level if state.first_factor is not None else 0
    return assurance(presentation.method, presentation.evidence) + first


def _local(at: datetime) -> dict[str, int]:
    """What a peer's schedule looks at: day, weekday (Monday 1) and minute, today and before."""
    local = at.astimezone(ZoneInfo(ZONE))
    day = local.toordinal()
    return {
        "day": day,
        "weekday": local.isoweekday(),
        "minute": local.hour * 60 + local.minute,
        "day_before": day - 1,
        "weekday_before": (local.weekday() - 1) % 7 + 1,
    }


# Ours


def _ours(policy: Policy) -> Callable[[Request], bool]:
    return lambda request: (
        decide(policy, request.presentation, request.state, request.at).is_granted
    )


# Cedar: people, credentials and points are entities in one handle, parsed once


def _cedar(cedarpy: Any, place: City) -> Callable[[Request], bool]:
    entities = cedarpy.Entities.from_json_str(json.dumps(_cedar_entities(place)))
    policies = cedarpy.PolicySet.from_str(_cedar_policies())
    ask = cedarpy.is_authorized
    return lambda request: ask(request.cedar, policies, entities).allowed


def _cedar_entities(place: City) -> list[dict[str, Any]]:
    def entity(kind: str, id_: str, attributes: dict[str, Any]) -> dict[str, Any]:
        return {"uid": {"type": kind, "id": id_}, "attrs": attributes, "parents": []}

    entities = [entity("Community", "c1", {"revoked": [leave.id for leave in place.revoked]})]
    for holder in place.holders:
        attributes = {"status": holder.status.value, **_span(holder)}
        for membership in holder.memberships:
            building, role = membership.group.split(".")
            attributes[role] = {"building": building, **_span(membership)}
        entities.append(entity("User", holder.id, attributes))
    for credential in place.credentials:
        user = {"__entity": {"type": "User", "id": credential.holder}}
        attributes = {"status": credential.status.value, "user": user, **_span(credential)}
        entities.append(entity("Credential", credential.key, attributes))
    for point in place.points:
        attributes = {
            "building": point.id[:3].replace("a", "b"),
            "way": point.direction.value,
            "enabled": point.is_enabled,
            "level": point.level,
            "methods": [method.value for method in point.methods],
        }
        entities.append(entity("Point", point.id, attributes))
    return entities


def _span(dated: Any) -> dict[str, int]:
    return {
        "from": 0 if dated.valid_from is None else int(dated.valid_from.timestamp()),
        "until": FOREVER if dated.valid_until is None else int(dated.valid_until.timestamp()),
    }


def _cedar_policies() -> str:
    gate = """
        context.records && context.age_ms <= 10000 && context.mode != "lockdown"
        && resource.enabled && resource.methods.contains(context.method)
        && context.level >= resource.level"""
    card = """
        principal.status == "active"
        && context.at >= principal.from && context.at < principal.until
        && !context.masked && !context.spoof && context.vehicle != "no" """
    leave = """
        context.pass.community == "c1"
        && !Community::"c1".revoked.contains(context.pass.id)
        && context.at >= context.pass.from && context.at < context.pass.until
        && (context.pass.points.isEmpty() || context.pass.points.contains(context.point))
        && (context.pass.uses == 0 || context.pass.used < context.pass.uses)"""
    return f"""
        permit (principal, action, resource) when {{ context.mode == "fire" }};
        permit (principal, action, resource) when {{ resource.way == "exit" }};
        permit (principal is Credential, action, resource) when {{
            {gate} && {card} && ({_cedar_person("principal.user")})
        }};
        permit (principal is User, action, resource) when {{
            {gate} && {leave} && ({_cedar_person("principal")})
        }};"""


def _cedar_person(user: str) -> str:
    roles = " || ".join(
        f"""({user} has {role} && {user}.{role}.building == resource.building
            && context.at >= {user}.{role}.from && context.at < {user}.{role}.until
            && {_cedar_rule(role)})"""
        for role in SCHEDULES
    )
    return f"""{user}.status == "active"
        && context.at >= {user}.from && context.at < {user}.until && ({roles})"""


def _cedar_rule(role: str) -> str:
    ends = f"context.at < {_visitor_rule_ends()} && " if role == "visitor" else ""
    return f"{ends}({_cedar_schedule(SCHEDULES[role])})"


def _visitor_rule_ends() -> int:
    return int((YEAR + timedelta(days=300)).timestamp())


def _cedar_schedule(schedule: Schedule) -> str:
    usual = [_cedar_period(period, "weekday") for period in schedule.weekly]
    late = [_cedar_late(period, "weekday_before") for period in schedule.weekly]
    parts = [
        f"{_cedar_not_special(schedule, 'day')}({' || '.join(usual)})",
        f"{_cedar_not_special(schedule, 'day_before')}({' || '.join(late)})",
    ]
    for special in schedule.special:
        day = special.on.toordinal()
        for period in special.periods:
            parts.append(f"(context.day == {day} && {_cedar_period(period)})")
            parts.append(f"(context.day_before == {day} && {_cedar_late(period)})")
    return " || ".join(parts)


def _cedar_not_special(schedule: Schedule, which: str) -> str:
    days = [str(special.on.toordinal()) for special in schedule.special]
    return f"![{', '.join(days)}].contains(context.{which}) && " if days else ""


def _cedar_period(period: Period, weekday: str = "") -> str:
    late = period.end_min <= period.start_min
    end = "" if late else f" && context.minute < {period.end_min}"
    return f"({_cedar_days(period, weekday)}context.minute >= {period.start_min}{end})"


def _cedar_late(period: Period, weekday: str = "") -> str:
    if period.end_min > period.start_min:
        return "false"
    return f"({_cedar_days(period, weekday)}context.minute < {period.end_min})"


def _cedar_days(period: Period, weekday: str) -> str:
    if not weekday or len(period.days) == 7:
        return ""
    return f"{list(period.days)}.contains(context.{weekday}) && "


def _for_cedar(presentation: Presentation, state: State, at: datetime) -> dict[str, Any]:
    leave, evidence = presentation.leave, presentation.evidence
    context: dict[str, Any] = {
        "at": int(at.timestamp()),
        "age_ms": int(presentation.age_s * 1000),
        "mode": state.mode.value,
        "records": state.records,
        "method": presentation.method.value,
        "level": _level(presentation, state),
        "masked": bool(evidence.masked),
        "spoof": evidence.liveness is Liveness.SPOOF,
        "vehicle": {True: "yes", False: "no", None: ""}[evidence.vehicle_present],
        "point": presentation.point,
        **_local(at),
    }
    who = {"type": "Credential", "id": presentation.value}
    if leave is not None:
        who = {"type": "User", "id": leave.holder}
        context["pass"] = {
            "id": leave.id,
            "community": leave.community,
            "from": int((leave.not_before - PASS_SKEW).timestamp()),
            "until": int((leave.not_after + PASS_SKEW).timestamp()),
            "points": list(leave.points),
            "uses": leave.uses,
            "used": state.pass_used,
        }
    return {
        "principal": who,
        "action": 'Action::"enter"',
        "resource": {"type": "Point", "id": presentation.point},
        "context": json.dumps(context),
    }


# Casbin: one policy line for each role, people linked to role and building, the rest functions

_CASBIN_MODEL = """
[request_definition]
r = sub, obj, ctx
[policy_definition]
p = role
[role_definition]
g = _, _, _
[policy_effect]
e = some(where (p.eft == allow))
[matchers]
m = free(r.obj, r.ctx) || (fits(r.obj, r.ctx) && g(r.sub, p.role, r.obj.building) && \
lives(r.ctx, p.role) && open(p.role, r.ctx))
"""


def _casbin(casbin: Any, place: City) -> Callable[[Request], bool]:
    model = casbin.Model()
    model.load_model_from_text(_CASBIN_MODEL)
    enforcer = casbin.Enforcer(model)
    enforcer.add_policies([[role] for role in SCHEDULES])
    links = []
    for holder in place.holders:
        for membership in holder.memberships:
            building, role = membership.group.split(".")
            links.append([holder.id, role, building])
    enforcer.add_grouping_policies(links)
    revoked = {leave.id for leave in place.revoked}
    enforcer.add_function("free", _casbin_free)
    enforcer.add_function("fits", lambda point, ctx: _casbin_fits(point, ctx, revoked))
    enforcer.add_function("lives", _casbin_lives)
    enforcer.add_function("open", _casbin_open)
    ask = enforcer.enforce
    return lambda request: bool(ask(*request.casbin))


def _casbin_free(point: Any, ctx: Any) -> bool:
    return ctx.mode == "fire" or point.way == "exit"


def _casbin_fits(point: Any, ctx: Any, revoked: set[str]) -> bool:
    """Judge everything that does not depend on the role."""
    return (
        ctx.records
        and ctx.age_s <= 10
        and ctx.mode != "lockdown"
        and point.enabled
        and ctx.method in point.methods
        and ctx.level >= point.level
        and not ctx.masked
        and not ctx.spoof
        and ctx.vehicle is not False
        and _is_valid(ctx.holder, ctx.at)
        and (_is_valid(ctx.credential, ctx.at) if ctx.leave is None else _holds(ctx, revoked))
    )


def _is_valid(record: Any, at: float) -> bool:
    return record is not None and record.is_active and record.begins <= at and at < record.ends


def _holds(ctx: Any, revoked: set[str]) -> bool:
    leave = ctx.leave
    return (
        leave.community == "c1"
        and leave.id not in revoked
        and leave.begins <= ctx.at < leave.ends
        and (not leave.points or ctx.point in leave.points)
        and (not leave.uses or leave.used < leave.uses)
    )


def _casbin_lives(ctx: Any, role: str) -> bool:
    begins, ends = ctx.holder.roles[role]
    return begins <= ctx.at < ends


def _casbin_open(role: str, ctx: Any) -> bool:
    if role == "visitor" and ctx.at >= _VISITOR_RULE_ENDS:
        return False
    weekly, special = _HOURS[role]
    today = special.get(ctx.day, weekly[ctx.weekday - 1])
    before = special.get(ctx.day_before, weekly[ctx.weekday_before - 1])
    return any(
        start <= ctx.minute and (ctx.minute < end or end <= start) for start, end in today
    ) or any(end <= start and ctx.minute < end for start, end in before)


def _hours(periods: Sequence[Period]) -> list[tuple[int, int]]:
    return [(period.start_min, period.end_min) for period in periods]


_VISITOR_RULE_ENDS = _visitor_rule_ends()
_HOURS = {
    role: (
        [_hours([p for p in schedule.weekly if day in p.days]) for day in range(1, 8)],
        {special.on.toordinal(): _hours(special.periods) for special in schedule.special},
    )
    for role, schedule in SCHEDULES.items()
}


def _for_casbin(
    policy: Policy, presentation: Presentation, state: State, at: datetime
) -> tuple[str, Any, Any]:
    evidence, leave = presentation.evidence, presentation.leave
    credential = policy.credential_for(presentation.method, presentation.value)
    id_ = leave.holder if leave is not None else (credential.holder if credential else "")
    holder = policy.holders.get(id_)
    point = policy.points[presentation.point]
    ctx = SimpleNamespace(
        at=at.timestamp(),
        age_s=presentation.age_s,
        mode=state.mode.value,
        records=state.records,
        method=presentation.method.value,
        level=_level(presentation, state),
        masked=bool(evidence.masked),
        spoof=evidence.liveness is Liveness.SPOOF,
        vehicle=evidence.vehicle_present,
        point=presentation.point,
        credential=_dated(credential),
        holder=_dated(holder),
        leave=_casbin_pass(leave, state),
        **_local(at),
    )
    if holder is not None:
        ctx.holder.roles = {m.group.split(".")[1]: _times(m) for m in holder.memberships}
    thing = SimpleNamespace(
        building=point.id[:3].replace("a", "b"),
        way=point.direction.value,
        enabled=point.is_enabled,
        level=point.level,
        methods={method.value for method in point.methods},
    )
    return id_, thing, ctx


def _casbin_pass(leave: Pass | None, state: State) -> Any:
    if leave is None:
        return None
    return SimpleNamespace(
        id=leave.id,
        community=leave.community,
        begins=(leave.not_before - PASS_SKEW).timestamp(),
        ends=(leave.not_after + PASS_SKEW).timestamp(),
        points=leave.points,
        uses=leave.uses,
        used=state.pass_used,
    )


def _dated(record: Any) -> Any:
    if record is None:
        return None
    begins, ends = _times(record)
    return SimpleNamespace(is_active=record.status is Status.ACTIVE, begins=begins, ends=ends)


def _times(dated: Any) -> tuple[float, float]:
    span = _span(dated)
    return float(span["from"]), float(span["until"])
