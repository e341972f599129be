"""The rules said a second time, slowly and another way, for tests to compare with."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from anlin.core.entities import Direction, Method, Status
from anlin.core.schedule import Schedule

SKEW = timedelta(seconds=60)


def schedule_holds(schedule: Schedule, at: datetime) -> bool:
    """Walk every period that began today or yesterday, as minutes on one line."""
    local = at.astimezone(ZoneInfo(schedule.zone)).replace(tzinfo=None, fold=0)
    minute = local.replace(second=0, microsecond=0)
    for back in (0, 1):
        midnight = minute.replace(hour=0, minute=0) - timedelta(days=back)
        specials = [day for day in schedule.special if day.on == midnight.date()]
        if specials:
            periods = specials[0].periods
        else:
            periods = tuple(p for p in schedule.weekly if midnight.isoweekday() in p.days)
        for period in periods:
            length = period.end_min - period.start_min
            start = midnight + timedelta(minutes=period.start_min)
            if length <= 0:
                length += 24 * 60
            if start <= minute < start + timedelta(minutes=length):
                return True
    return False


def within(start: datetime | None, at: datetime, end: datetime | None) -> bool:
    """Say whether a time is in a window whose end is exclusive."""
    first = start or datetime.min.replace(tzinfo=UTC)
    last = end or datetime.max.replace(tzinfo=UTC)
    return first <= at < last


def admitting_rules(world, memberships, point_id, at):
    """List the ids of the rules that let any of these memberships through here and now."""
    found = set()
    for rule in world.rules:
        for member in memberships:
            schedules = [s for s in world.schedules if s.id == rule.schedule]
            if (
                point_id in rule.points
                and member.group in rule.groups
                and within(member.valid_from, at, member.valid_until)
                and within(rule.valid_from, at, rule.valid_until)
                and (rule.schedule is None or any(schedule_holds(s, at) for s in schedules))
            ):
                found.add(rule.id)
    return found


_LEVELS = {
    "card": 1,
    "secure_card": 2,
    "pin": 1,
    "qr": 2,
    "face": 1,
    "terminal_face": 2,
    "phone": 2,
}


def may_enter(world, shown, state, at):
    """Say by the text of the rules whether an entry is granted, and by which rules it may be."""
    points = [point for point in world.points if point.id == shown.point]
    if not points or points[0].direction is Direction.EXIT:
        return set()
    point, evidence, leave = points[0], shown.evidence, shown.leave
    ordinary = state.mode == "normal" and state.records and shown.age_s <= 10
    if not (ordinary and point.is_enabled and shown.method in point.methods):
        return set()

    is_qr = shown.method is Method.QR
    credentials = [c for c in world.credentials if (c.method, c.key) == (shown.method, shown.value)]
    if is_qr:
        proven = (
            leave is not None
            and shown.fault is None
            and leave.community == world.community.id
            and leave.id not in {revoked.id for revoked in world.revoked}
            and leave.not_before - SKEW <= at < leave.not_after + SKEW
            and (not leave.points or point.id in leave.points)
            and (leave.uses == 0 or state.pass_used < leave.uses)
        )
        holder_id = leave.holder if leave is not None else None
    else:
        proven = leave is None and any(
            c.status is Status.ACTIVE and within(c.valid_from, at, c.valid_until)
            for c in credentials
        )
        holder_id = credentials[0].holder if credentials else None
    if shown.method is Method.PLATE:
        proven = proven and bool(shown.value) and evidence.vehicle_present is not False
    if shown.method in (Method.FACE, Method.TERMINAL_FACE):
        proven = proven and bool(shown.value)
        proven = proven and not evidence.masked and evidence.liveness != "spoof"
    if not proven:
        return set()

    holders = [holder for holder in world.holders if holder.id == holder_id]
    if holders:
        holder = holders[0]
        is_welcome = holder.status is Status.ACTIVE and within(
            holder.valid_from, at, holder.valid_until
        )
        rules = admitting_rules(world, holder.memberships, point.id, at) if is_welcome else set()
    elif is_qr and leave.group:
        rules = {
            rule.id
            for rule in world.rules
            if leave.group in rule.groups
            and point.id in rule.points
            and within(rule.valid_from, at, rule.valid_until)
            and (
                rule.schedule is None
                or any(schedule_holds(s, at) for s in world.schedules if s.id == rule.schedule)
            )
        }
    else:
        return set()

    if shown.method is Method.PLATE:
        level = 1 if evidence.vehicle_present else 0
    else:
        level = _LEVELS.get(str(shown.method), 0)
    first = state.first_factor
    is_second = (
        first is not None
        and bool(holders)
        and first.holder == holder_id
        and first.method != shown.method
        and 0 <= (at - first.at).total_seconds() <= 15
    )
    level += first.level if is_second else 0
    return rules if level >= point.level else set()
