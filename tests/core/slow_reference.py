"""The rules said a second time, slowly and another way, for tests to compare with."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from anlin.core.access import Reason
from anlin.core.entities import Membership, Method, Status
from anlin.core.schedule import Schedule


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


@dataclass(frozen=True)
class Verdict:
    """Every objection to an entry at once, in no order, and what else a decision should say.

    `rules` are the ids of those that admit. An unregistered car that the parking rule lets in
    comes `instead` of a grant.
    """

    objections: frozenset[Reason]
    rules: frozenset[str] = frozenset()
    instead: Reason | None = None
    is_passback: bool = False
    is_duress: bool = False


def judge(world, shown, state, at) -> Verdict:
    """Collect whatever stands against an entry, each rule for itself, from the world's lists."""
    point = one(world.points, shown.point)
    credential, is_duress = shown_credential(world, shown)
    against = {reason for reason, holds in standing(point, shown, state, at) if holds}
    against |= evidence_objections(shown)
    if shown.method is Method.QR:
        against |= pass_objections(world, shown, state, at)
    if shown.method is Method.PLATE and credential is None:
        return outsider(world, point, shown, state, at, against)
    against |= credential_objections(credential, shown, at)
    leave = shown.leave if shown.method is Method.QR else None
    holder_id = leave.holder if leave else credential.holder if credential else None
    holder = one(world.holders, holder_id)
    memberships = holder.memberships if holder else ()
    if holder is None:
        if leave is not None and leave.group:
            memberships = (Membership(leave.group),)
        else:
            against.add(Reason.HOLDER_UNKNOWN)
    else:
        if holder.status is not Status.ACTIVE:
            against.add(Reason.HOLDER_NOT_ENABLED)
        against |= window(holder, at, Reason.HOLDER_NOT_ACTIVE, Reason.HOLDER_EXPIRED)
        if holder.points and point.id not in holder.points:
            against.add(Reason.OFF_VISITOR_PATH)
    rules = admitting_rules(world, memberships, point.id, at)
    if not rules:
        against |= missing_rules(world, memberships, point.id, at)
    if shown.method is Method.PLATE:
        against |= parking_objections(world, point, credential, holder, state)
    is_passback = repeats(world, point, shown, state, at)
    against |= area_objections(world, point, shown, state, is_passback)
    if state.blocked_by:
        against.add(Reason.INTERLOCKED)
    if level_shown(shown, state, holder_id if holder else None, at) < level_needed(
        world, point, at
    ):
        against.add(Reason.SECOND_FACTOR_REQUIRED)
    against |= company(world, point, holder, state, at)
    return Verdict(frozenset(against), frozenset(rules), None, is_passback, is_duress)


def one(records, id_):
    """Find the record of an id in a list, or None."""
    found = [record for record in records if record.id == id_]
    return found[0] if found else None


def seconds(later, earlier) -> float:
    """Say how many seconds lie between two times."""
    return (later - earlier).total_seconds()


def shown_credential(world, shown):
    """Find whose it is, and whether it is the code of somebody who is forced."""
    if shown.leave is not None:
        return None, False
    keys = {(c.method, c.key): c for c in world.credentials}
    plain = keys.get((shown.method, shown.value))
    forced = keys.get((shown.method, shown.forced_from)) if plain is None else None
    return plain or forced, forced is not None


def standing(point, shown, state, at):
    """List what may stand against anybody at all here and now."""
    locked_until = state.pin_locked_until if shown.method is Method.PIN else None
    return [
        (Reason.RECORDS_UNAVAILABLE, not state.records),
        (Reason.STALE_PRESENTATION, shown.age_s > 10),
        (Reason.LOCKDOWN, state.mode == "lockdown"),
        (Reason.ACCESS_POINT_DISABLED, not point.is_enabled),
        (Reason.METHOD_NOT_ACCEPTED, shown.method not in point.methods),
        (Reason.PIN_LOCKED, locked_until is not None and seconds(locked_until, at) > 0),
    ]


def evidence_objections(shown):
    """Say what a camera's view speaks against."""
    evidence, against = shown.evidence, set()
    if shown.method is Method.PLATE:
        if not shown.value:
            against.add(Reason.PLATE_NOT_READ)
        elif evidence.vehicle_present is False:
            against.add(Reason.VEHICLE_NOT_PRESENT)
    if shown.method in (Method.FACE, Method.TERMINAL_FACE):
        if evidence.masked:
            against.add(Reason.MASK_WORN)
        elif evidence.liveness == "spoof":
            against.add(Reason.LIVENESS_FAILED)
        elif not shown.value:
            against.add(Reason.FACE_NOT_RECOGNISED)
    return against


def pass_objections(world, shown, state, at):
    """Say what speaks against a pass; several things may."""
    leave, against = shown.leave, set()
    if leave is None or shown.fault is not None:
        return {Reason.PASS_INVALID}
    if leave.community != world.community.id:
        against.add(Reason.PASS_OTHER_COMMUNITY)
    if leave.id in {revoked.id for revoked in world.revoked}:
        against.add(Reason.PASS_REVOKED)
    if seconds(leave.not_before, at) > 60:
        against.add(Reason.PASS_NOT_ACTIVE)
    if seconds(at, leave.not_after) >= 60:
        against.add(Reason.PASS_EXPIRED)
    if leave.points and shown.point not in leave.points:
        against.add(Reason.PASS_WRONG_POINT)
    if leave.rotates and state.pass_code != "fresh":
        told = {"shown": Reason.PASS_SHOWN, "unknown": Reason.PASS_UNPROVEN}
        against.add(told.get(state.pass_code, Reason.PASS_STALE))
    if leave.uses and state.pass_used >= leave.uses:
        against.add(Reason.PASS_USED)
    readable = sorted(p.id for p in world.points if Method.QR in p.methods)
    homes = [node_of(world, id_) for id_ in leave.points or readable]
    if leave.uses and not state.is_online and homes and homes[0] != node_of(world, shown.point):
        against.add(Reason.PASS_UNPROVEN)
    return against


def node_of(world, point_id):
    """Say which edge drives a point."""
    point = one(world.points, point_id)
    portal = one(world.portals, point.portal) if point else None
    return portal.node if portal else None


def window(dated, at, early, late):
    """Say whether it is too early or too late for something dated."""
    against = set()
    if dated.valid_from is not None and seconds(dated.valid_from, at) > 0:
        against.add(early)
    elif dated.valid_until is not None and seconds(dated.valid_until, at) <= 0:
        against.add(late)
    return against


def credential_objections(credential, shown, at):
    """Say what speaks against a credential itself."""
    if credential is None:
        if shown.method is Method.QR:
            return set()
        return {Reason.INVALID_PIN if shown.method is Method.PIN else Reason.CREDENTIAL_UNKNOWN}
    by_status = {
        "suspended": Reason.CREDENTIAL_NOT_ENABLED,
        "lost": Reason.CREDENTIAL_LOST,
        "revoked": Reason.CREDENTIAL_REVOKED,
    }
    against = {by_status[credential.status]} if credential.status != "active" else set()
    return against | window(credential, at, Reason.CREDENTIAL_NOT_ACTIVE, Reason.CREDENTIAL_EXPIRED)


def missing_rules(world, memberships, point_id, at):
    """Name everything that a missing rule may be put down to."""
    causes = set()
    for member in memberships:
        if any(point_id in r.points and member.group in r.groups for r in world.rules):
            late = window(member, at, Reason.RESIDENCY_NOT_ACTIVE, Reason.RESIDENCY_ENDED)
            causes |= late or {Reason.NOT_PERMITTED_AT_THIS_TIME}
    return causes or {Reason.UNAUTHORIZED}


def parking_objections(world, point, credential, holder, state):
    """Say what the community's parking rule has against a registered car."""
    parking = one(world.parking, point.area_to)
    if parking is None:
        return set()
    against = set()
    if holder is not None and holder.kind == "resident" and not parking.residents_enter:
        against.add(Reason.PARKING_NEXT_DOOR)
    household = one(world.households, credential.household) if credential else None
    if household is not None and household.cars is not None:
        ours = 1 if state.place is not None and state.place.area == point.area_to else 0
        if state.cars_inside - ours + 1 > household.cars:
            against.add(Reason.HOUSEHOLD_FULL)
    return against


def repeats(world, point, shown, state, at):
    """Say whether this one has entered this area already and not left it."""
    area = one(world.areas, point.area_to)
    if area is None or state.place is None or state.place.area != area.id:
        return False
    return {
        "off": shown.method is Method.PLATE and one(world.parking, area.id) is not None,
        "soft": True,
        "hard": True,
        "timed": seconds(at, state.place.since) < area.anti_passback_s,
    }[area.anti_passback]


def is_shared(world, area_id):
    """Say whether several edges know of an area's coming and going."""
    touching = [p for p in world.points if area_id in (p.area_from, p.area_to)]
    return len({node_of(world, point.id) for point in touching}) > 1


def area_objections(world, point, shown, state, is_passback):
    """Say what the area ahead has against another one in it."""
    area = one(world.areas, point.area_to)
    if area is None:
        return set()
    against = set()
    if is_passback and area.anti_passback in ("hard", "timed") and not is_shared(world, area.id):
        is_car = shown.method is Method.PLATE
        against.add(Reason.VEHICLE_ALREADY_INSIDE if is_car else Reason.ANTI_PASSBACK)
    is_inside = state.place is not None and state.place.area == area.id
    if area.capacity and not is_inside and state.inside + 1 > area.capacity:
        against.add(Reason.AREA_FULL)
    return against


def level_needed(world, point, at):
    """Give the highest level that anything asks for now."""
    levels = [1, point.level]
    for raised in point.raised:
        schedule = one(world.schedules, raised.schedule)
        if schedule is None or schedule_holds(schedule, at):
            levels.append(raised.level)
    return max(levels)


def level_shown(shown, state, holder_id, at):
    """Add up what was shown within the time for two."""
    if shown.method is Method.PLATE:
        level = 1 if shown.evidence.vehicle_present else 0
    else:
        level = _LEVELS.get(str(shown.method), 0)
    first = state.first_factor
    if first is None or holder_id is None or first.holder != holder_id:
        return level
    is_other = first.method != shown.method and 0 <= seconds(at, first.at) <= 15
    return level + (first.level if is_other else 0)


def company(world, point, holder, state, at):
    """Say who is missing at the side of this one."""
    needs_escort = holder is not None and holder.needs_escort
    if point.persons < 2 and not needs_escort:
        return set()
    there = state.companion
    if there is not None:
        is_near = 0 <= seconds(at, there.at) <= 15
        there = there if is_near and holder is not None and there.holder != holder.id else None
    if needs_escort:
        return set() if there is not None and there.can_escort else {Reason.ESCORT_REQUIRED}
    if there is None:
        return {Reason.SECOND_PERSON_REQUIRED}
    is_led = any(h.id == there.holder and h.needs_escort for h in world.holders)
    return {Reason.ESCORT_REQUIRED} if is_led and not holder.can_escort else set()


def outsider(world, point, shown, state, at, against):
    """Judge a car that nobody has registered."""
    parking = one(world.parking, point.area_to)
    is_seen = shown.evidence.vehicle_present is True and bool(shown.value)
    if parking is not None and is_seen and parking.emergency_enters and on_duty(shown.value):
        return Verdict(frozenset(against), instead=Reason.EMERGENCY_VEHICLE)
    is_welcome = parking is not None and parking.outsiders == "admit"
    if not (is_seen and is_welcome and point.persons < 2 and level_needed(world, point, at) < 2):
        return Verdict(frozenset(against | {Reason.CREDENTIAL_UNKNOWN}))
    area = one(world.areas, point.area_to)
    is_inside = state.place is not None and state.place.area == point.area_to
    against = set(against)
    if is_inside and not is_shared(world, point.area_to):
        against.add(Reason.VEHICLE_ALREADY_INSIDE)
    if area is not None and area.capacity and not is_inside and state.inside >= area.capacity:
        against.add(Reason.AREA_FULL)
    if state.blocked_by:
        against.add(Reason.INTERLOCKED)
    return Verdict(frozenset(against), instead=Reason.TEMPORARY_VEHICLE)


def on_duty(plate):
    """Tell plates of police, fire brigades and armed police by their marks."""
    return plate.endswith(("警", "应急")) or plate.startswith("WJ")
