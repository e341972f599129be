"""The engine: reports in, decisions, durable events, then commands out.

State moves the moment a report comes, in the order of coming. What a report leads to is done
only when its events are durable: a door that opened without a record would be a lie for ever,
a record without a door is a person who tries once more. Two things do not wait for the disk:
the way out, and fire.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import structlog

from anlin.core import device, lane, portal, sync
from anlin.core.access import ENTRIES, STALE_AFTER, Decision, Reason
from anlin.core.codec import to_data
from anlin.core.entities import AccessPoint, Direction, Holder, Method, Portal, PortalKind
from anlin.core.event import Draft, Event, EventKind
from anlin.core.hold import Cause, Maintenance, Override
from anlin.core.policy import Policy
from anlin.core.tell import tell
from anlin.edge import bikes
from anlin.edge import portals as memory
from anlin.edge.bikes import Bikes
from anlin.edge.clock import Clock
from anlin.edge.desk import LOCKOUT, Desk, Judged
from anlin.edge.journal import Appended, Journal, JournalError
from anlin.edge.pulse import DRAIN_S
from anlin.edge.replica import Replica, ReplicaError
from anlin.edge.whereabouts import PREFIX as PLACE
from anlin.edge.whereabouts import Whereabouts

log = structlog.get_logger(__name__)

REFUSED_EVENTS_PER_MINUTE = 6
"""A device that talks rubbish is recorded as such, not once for each piece of rubbish."""

MAX_HOLD = timedelta(hours=24)
"""What a person holds open, or works on, goes back to normal by itself within a day."""

Dispatch = Callable[[device.Command], None]


@dataclass(slots=True)
class _Outcome:
    """What one input led to: events to write first, commands to send then."""

    drafts: list[Draft] = field(default_factory=list)
    commands: list[device.Command] = field(default_factory=list)
    at_once: list[device.Command] = field(default_factory=list)
    """Commands that do not wait for the disk: fire and the way out."""

    def add(self, other: _Outcome) -> None:
        """Let another input's outcome follow this one."""
        self.drafts += other.drafts
        self.commands += other.commands
        self.at_once += other.at_once


class Engine:
    """The decisions of one node."""

    def __init__(
        self,
        replica: Replica,
        journal: Journal,
        clock: Clock,
        dispatch: Dispatch,
        language: str = "zh",
        serves: Callable[[], frozenset[str]] | None = None,
    ) -> None:
        """Take up where the last life ended.

        `serves` names the portals that this node drives; all of the policy's by default.
        """
        self._replica = replica
        self._journal = journal
        self._clock = clock
        self._dispatch = dispatch
        self._language = language
        self._serves = serves or (lambda: frozenset(self.policy.portals))
        self._portals = memory.Portals(lambda: self.policy)
        self._desk = Desk(
            lambda: self.policy,
            self._portals,
            Whereabouts(replica.facts(PLACE)),
            journal.pass_uses(),
            dict(replica.facts(LOCKOUT)),
            journal.node,
            journal.pass_steps(),
        )
        self._bikes = Bikes(lambda: self.policy, self._asked())
        self._schedules: dict[str, bool] = {}
        self._faults: dict[tuple[str, str, str], bool] = {}
        """By device, its part, and what is wrong."""
        self._online: dict[tuple[str, str], bool] = {}
        self._levels: dict[tuple[str, ...], tuple[datetime, device.Level]] = {}
        """The newest of each level, and when it was so."""
        self._states: dict[str, str] = {}
        """What cameras and tables last said of themselves."""
        self._fires: set[str] = set()
        self._refused: Counter[str] = Counter()
        self._refused_minute = ""
        self._in_flight: set[str] = set()
        self._owed: list[tuple[list[Draft], str | None]] = []
        """What happened while nothing could be written, with the messages behind it."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._stood_still_s = 0.0
        self._drained_at = clock.now()
        """Until then what comes may have waited for as long as the process stood still."""
        self._is_low = False
        self._unsaved: dict[str, str] = {}
        self._is_saving = True
        self._command = int(replica.fact("command") or 0)
        self._restore()

    @property
    def policy(self) -> Policy:
        """The policy that decides now."""
        return self._replica.policy

    @property
    def command(self) -> int:
        """The number of the last command that was taken."""
        return self._command

    @property
    def is_online(self) -> bool:
        """Whether the hub can be heard."""
        return self._desk.is_online

    @is_online.setter
    def is_online(self, is_online: bool) -> None:
        self._desk.is_online = is_online

    def set_pin_secret(self, secret: bytes | None) -> None:
        """Say under which secret PINs are looked up; without one every PIN is wrong."""
        self._desk.pin_secret = secret

    def set_pass_secret(self, secret: bytes | None) -> None:
        """Say under which secret passes rotate; without one a rotating pass is unproven."""
        self._desk.pass_secret = secret

    def status(self, portal_id: str) -> memory.Status:
        """Give what is known of a portal."""
        return self._portals.status(portal_id)

    # Inputs

    def take(self, report: device.Report) -> None:
        """Take a report from a driver; what it leads to happens soon."""
        origin = getattr(report, "origin", None)
        known = None
        if origin is not None:
            if origin in self._in_flight:
                return
            known = self._known(origin)
            if known is not None and not self._is_news(known, report):
                self._release_again(known)
                self._acknowledge(origin)
                return
        now = self._clock.now()
        if isinstance(report, device.TagSeen):
            self._tag(report, now)
            return
        outcome = self._in_order(self._aged(report, now), now)
        if known is not None and origin is not None:
            written = (known.kind, known.subject)
            outcome.drafts = [d for d in outcome.drafts if (d.kind, d.subject) != written]
            self._acknowledge(origin)
            origin = None
        self._carry_out(outcome, origin)

    def _in_order(self, report: device.Report, now: datetime) -> _Outcome:
        """Take a report; where a level comes late, behind a newer one, the newer one stands.

        What was in between is told all the same: a door that was open for long enough was
        forced, an enclosure was opened. Only of loops and arms the past says nothing any more.
        """
        if not isinstance(report, device.Level):
            return self._outcome(report, now)
        key, at = _level_key(report), now - timedelta(seconds=report.age_s)
        newest_at, newest = self._levels.get(key, (at, report))
        if at >= newest_at:
            self._levels[key] = (at, report)
            return self._outcome(report, now)
        if isinstance(report, device.Loop | device.Arm):
            return _Outcome()
        if isinstance(report, device.Contact):
            outcome = self._step(report.portal, portal.ContactRead(report.level), at)
            outcome.add(self._step(report.portal, portal.Tick(), newest_at))
        else:
            outcome = self._outcome(report, now)
        outcome.add(self._outcome(newest, now))
        return outcome

    def _outcome(self, report: device.Report, now: datetime) -> _Outcome:
        match report:
            case device.Read():
                return self._read(report, now)
            case device.Decided():
                return self._decided(report, now)
            case device.Contact():
                return self._step(report.portal, portal.ContactRead(report.level), now)
            case device.Crossed():
                is_out = report.direction is Direction.EXIT
                return self._step(report.portal, portal.Passed(report.persons, is_out), now)
            case device.FireInput():
                return self._fire(report, now)
            case device.Loop():
                return self._loop(report, now)
            case device.Arm():
                return self._step(report.portal, lane.ArmRead(report.position), now)
            case device.Struck():
                return self._step(report.portal, lane.StruckRead(), now)
            case device.Tampered():
                kinds = (EventKind.TAMPER, EventKind.TAMPER_CLEARED)
                key = (report.device, report.part, "tamper")
                return self._fault(key, report.is_active, kinds, {}, now)
            case device.Fault():
                kinds = (EventKind.DEVICE_FAULT, EventKind.DEVICE_FAULT_CLEARED)
                key = (report.device, report.part, report.rule)
                return self._fault(key, report.is_active, kinds, {"rule": report.rule}, now)
            case device.Online():
                return self._presence(report, now)
            case device.TableState():
                return self._table(report, now)
            case device.WorkerReport():
                return self._worker(report, now)
            case device.Refused():
                return self._refusal(report, now)
            case device.TagSeen() | device.PhotoWanted():
                return _Outcome()

    def obey(self, command: sync.Command) -> None:
        """Carry out a person's command from the hub, once, and only while it is fresh."""
        now = self._clock.now()
        rule = self._command_fault(command, now)
        if rule is not None:
            refused = {"command": command.id, "kind": command.kind, "rule": rule}
            kind = EventKind.COMMAND_REFUSED
            self._carry_out(_Outcome([self._draft(kind, command.target, now, refused)]), None)
            return
        outcome = self._commanded(command, now)
        done = {"command": command.id, "kind": command.kind, "by": command.by, **command.data}
        outcome.drafts.insert(0, self._draft(EventKind.COMMAND_DONE, command.target, now, done))
        self._save()
        self._carry_out(outcome, None)

    def tick(self) -> None:
        """Run the timers and schedules that have come due."""
        now = self._clock.now()
        for id_, record in self._served():
            held = False
            if record.schedule is not None:
                schedule = self.policy.schedules.get(record.schedule)
                held = schedule is not None and schedule.is_active(now)
            if held != self._schedules.get(id_, False):
                self._schedules[id_] = held
                self._carry_out(self._step(id_, portal.ScheduleRead(held), now), None)
        for id_ in self._portals.due(now):
            self._carry_out(self._step(id_, portal.Tick(), now), None)
        self._settle_bikes(now)
        self._desk.forget_plates(now)
        for plate, stay in self._desk.overstayed(now):
            data = {"value": plate, "since": to_data(stay.since), "until": to_data(stay.until)}
            self.note(EventKind.VEHICLE_OVERSTAYED, stay.area, data)
        if self._is_saving:
            self._save_places()
        if self._is_saving:
            self._save()

    def stood_still(self, seconds: float) -> None:
        """Take what comes next for as old as it may be: it waited while nothing ran here."""
        now = self._clock.now()
        if now - timedelta(seconds=seconds) >= self._drained_at:
            self._stood_still_s = 0.0
        self._stood_still_s += seconds
        self._drained_at = now + timedelta(seconds=DRAIN_S)
        log.warning("stood_still", seconds=round(seconds, 1))
        data = {"seconds": round(seconds, 1)}
        self.note(EventKind.NODE_STOOD_STILL, self._journal.node, data)

    def refresh(self, portals: Iterable[str]) -> None:
        """Tell portals again how they should stand: a device that was away has missed it."""
        for id_ in portals:
            status = self._portals.known().get(id_)
            if status is None:
                continue
            if status.holds_unlocked is not None:
                release = device.Release(id_, secrets.token_hex(8), None, status.holds_unlocked)
                self._dispatch(release)
            elif status.may_lock:
                self._dispatch(device.Secure(id_))

    def note(self, kind: EventKind, subject: str, data: Mapping[str, Any]) -> None:
        """Write down something about the node itself."""
        self._carry_out(_Outcome([self._draft(kind, subject, self._clock.now(), data)]), None)

    async def settle(self) -> None:
        """Wait until everything taken so far is durable and its commands are on their way."""
        self._save()
        while self._tasks:
            await asyncio.gather(*self._tasks)

    # Decisions

    def _aged(self, report: device.Report, now: datetime) -> device.Report:
        """Add to a read how long it may have waited; whoever was refused shows it once more.

        The way out is not asked how old it is, and fire and contacts are levels.
        """
        if now >= self._drained_at or not isinstance(report, device.Read):
            return report
        point = self.policy.points.get(report.point)
        is_exit = point is not None and point.direction is Direction.EXIT
        if is_exit or report.method is Method.EXIT_BUTTON:
            return report
        return replace(report, age_s=report.age_s + self._stood_still_s)

    def _read(self, report: device.Read, now: datetime) -> _Outcome:
        judged = self._desk.judge(report, now)
        decision = judged.decision
        outcome = _Outcome()
        data = self._desk.data(judged, report)
        release = data.get("release", "")
        self._desk.note(judged, report, release, now)
        kind = EventKind.ACCESS_GRANTED if decision.is_granted else EventKind.ACCESS_DENIED
        if not decision.is_granted:
            checks = self._desk.explain(judged, now)
            data["checks"] = [[row.name, row.outcome, row.saw] for row in checks]
        if decision.error is not None:
            log.error("decision_failed", point=report.point, error=decision.error)
            data["error"] = decision.error
        outcome.drafts.append(self._draft(kind, report.point, now, data, report.origin))
        self._silent(judged, report, outcome, now)
        if (
            judged.point is not None
            and decision.method is Method.PLATE
            and judged.presentation.value
        ):
            outcome.add(self._step(judged.point.portal, lane.Looked(), now))
        if release and judged.point is not None:
            is_exit = decision.reason is Reason.FREE_EGRESS
            grant = _granted(release, judged.point, judged.holder, is_exit=is_exit)
            self._may_pass(judged.point, release, decision.holder, report.evidence.picture, now)
            opened = self._step(judged.point.portal, grant, now)
            outcome.drafts += opened.drafts
            if decision.reason in ENTRIES:
                outcome.commands += opened.commands
            else:
                outcome.at_once += opened.commands
        outcome.commands.append(self._show(decision))
        return outcome

    def _silent(
        self, judged: Judged, report: device.Read, outcome: _Outcome, now: datetime
    ) -> None:
        """Tell, without a sign at the gate, what only some may know or somebody should look at."""
        decision, point = judged.decision, judged.decision.point
        who = {"holder": decision.holder, "label": decision.label, "method": decision.method}
        if decision.is_duress:
            outcome.drafts.append(self._draft(EventKind.DURESS, point, now, who))
        if decision.is_passback and decision.is_granted:
            noted = {**who, "area": judged.point.area_to if judged.point is not None else None}
            outcome.drafts.append(self._draft(EventKind.ANTI_PASSBACK_NOTED, point, now, noted))
        if self._desk.is_trying_keys(decision, now):
            tried = {"method": decision.method, "reason": decision.reason}
            outcome.drafts.append(self._draft(EventKind.REPEATED_DENIALS, point, now, tried))
        self._watch(report, judged.presentation.value, decision.reason, outcome, now)

    def _watch(
        self,
        report: device.Read | device.Decided,
        value: str,
        reason: str,
        outcome: _Outcome,
        now: datetime,
    ) -> None:
        """Tell those who wait for a credential, whoever decided on it and however."""
        for entry in self.policy.watched(report.method, value):
            if now < entry.valid_until:
                hit = {
                    "entry": entry.id,
                    "reason": reason,
                    "score": report.evidence.score,
                    "picture": report.evidence.picture,
                }
                hit = {key: value for key, value in hit.items() if value is not None}
                draft = self._draft(EventKind.WATCH_HIT, report.point, now, hit)
                outcome.drafts.append(draft)

    def _decided(self, report: device.Decided, now: datetime) -> _Outcome:
        """Record what a device has decided by itself, beside what this edge would have said."""
        ours = self._desk.opinion(report, now)
        point = self.policy.points.get(report.point)
        data: dict[str, Any] = {
            "reason": report.code,
            "decided_by": "device",
            "ours": ours.reason,
            "method": report.method,
            "point": report.point,
            "portal": point.portal if point is not None else None,
            "holder": ours.holder,
            "label": ours.label,
            "credential": ours.credential,
            "age_s": report.age_s,
            **to_data(report.evidence),
            **report.detail,
        }
        data = {key: value for key, value in data.items() if value not in (None, "")}
        kind = EventKind.ACCESS_GRANTED if report.is_granted else EventKind.ACCESS_DENIED
        is_open_yet = timedelta(seconds=report.age_s) <= STALE_AFTER
        if report.is_granted and is_open_yet and point is not None:
            data["release"] = secrets.token_hex(8)
        outcome = _Outcome([self._draft(kind, report.point, now, data, report.origin)])
        if "release" in data and point is not None:
            # The device has opened: what comes through now is lawful.
            self._desk.note_decided(report, ours, data["release"])
            self._may_pass(point, data["release"], ours.holder, report.evidence.picture, now)
            is_exit = report.method is Method.EXIT_BUTTON or point.direction is Direction.EXIT
            cause = Cause.EXIT if is_exit else Cause.DECISION
            opened = portal.Granted(data["release"], cause, is_released=True)
            outcome.add(self._step(point.portal, opened, now))
        self._watch(report, report.value, report.code, outcome, now)
        if report.is_granted != ours.is_granted:
            odd = {"theirs": report.code, "ours": ours.reason, "holder": ours.holder}
            outcome.drafts.append(self._draft(EventKind.BOARD_DISAGREES, report.point, now, odd))
        return outcome

    # E-bikes

    def _tag(self, report: device.TagSeen, now: datetime) -> None:
        """Take what an antenna read; its message waits for who passes near it in time."""
        point = self.policy.points.get(report.point)
        status = self.status(point.portal) if point is not None else None
        is_open = status is not None and (
            memory.seen(status) is device.ContactLevel.OPEN or status.holds_unlocked is not None
        )
        drafts, done, is_waiting = self._bikes.seen(
            report, now, is_open=is_open, revision=self.policy.revision
        )
        if done is not None and done != report.origin:
            self._acknowledge(done)
        if not is_waiting:
            self._carry_out(_Outcome(drafts), report.origin)

    def _settle_bikes(self, now: datetime) -> None:
        """Ask the guard about bikes whose sighting is over, and let their messages go."""
        for settled in self._bikes.settled(now):
            drafts = []
            if settled.question is not None:
                data = bikes.told(settled.question)
                kind = EventKind.BIKE_QUESTION
                drafts.append(self._draft(kind, settled.question.point, now, data))
            self._carry_out(_Outcome(drafts), settled.origin)

    def _may_pass(
        self,
        point: AccessPoint,
        release: str,
        holder: str | None,
        picture: str | None,
        now: datetime,
    ) -> None:
        """Remember whom a grant is for; without contact and beams nothing tells when they pass."""
        self._bikes.granted(release, picture)
        is_seen = memory.seen(self.status(point.portal)) is not None
        if not is_seen and not self._bikes.has_beams(point.portal):
            is_out = point.direction is Direction.EXIT
            self._bikes.taken(point.portal, now, is_out, holder, release)

    def _asked(self) -> dict[str, datetime]:
        """Give the questions of the last life that are not to be asked again."""
        try:
            return bikes.asked(self._journal.bike_questions(RECENT_EVENTS))
        except JournalError as error:
            log.error("journal_unreadable", error=str(error))
            return {}

    def _show(self, decision: Decision) -> device.Show:
        text = tell(decision, self._language)
        return device.Show(
            decision.point, decision.reason, text, text, is_granted=decision.is_granted
        )

    # Portals

    def _step(self, portal_id: str, given: portal.Input | lane.Input, now: datetime) -> _Outcome:
        status = self.status(portal_id)
        before = memory.seen(status)
        after, effects = self._portals.step(portal_id, given, now)
        self._note_passages(portal_id, given, status, effects, now)
        outcome = _Outcome()
        for effect in effects:
            match effect:
                case portal.Unlock():
                    id_ = effect.id or secrets.token_hex(8)
                    outcome.commands.append(
                        device.Release(portal_id, id_, effect.seconds, effect.cause)
                    )
                case portal.Lock():
                    outcome.commands.append(device.Secure(portal_id))
                case portal.Beep():
                    outcome.commands += self._beep(portal_id)
                case portal.Happened():
                    data = {**effect.data, **self._passage(effect, now), "state": after.state}
                    outcome.drafts.append(self._draft(effect.kind, portal_id, now, data))
        found = memory.seen(after)
        if before is None and found is not None and not outcome.drafts:
            # A guard should not have to wait for somebody to pass to see how it stands. What
            # happened in the same moment has told it already. What is to be done waits for no
            # record of a look: it holds the portal as the last life left it.
            data = {"contact": found, "state": after.state}
            outcome.drafts.append(self._draft(EventKind.PORTAL_FOUND, portal_id, now, data))
            outcome.at_once, outcome.commands = outcome.commands, []
        return outcome

    def _note_passages(
        self,
        portal_id: str,
        given: portal.Input | lane.Input,
        before: memory.Status,
        effects: Iterable[portal.Effect],
        now: datetime,
    ) -> None:
        """Remember for the e-bikes that somebody walks through, known or not."""
        is_taken = False
        for effect in effects:
            if isinstance(effect, portal.Happened) and effect.kind is EventKind.ACCESS_TAKEN:
                is_taken = True
                release = str(effect.data.get("release", ""))
                is_out, holder = self._desk.who_passes(release)
                self._bikes.taken(portal_id, now, is_out, holder, release)
        if isinstance(given, portal.Passed):
            is_out, persons = given.is_out, given.persons
            self._bikes.crossed(portal_id, now, is_out=is_out, persons=persons)
        is_opened = isinstance(given, portal.ContactRead) and isinstance(before, portal.Status)
        if is_opened and not is_taken:
            after = self.status(portal_id)
            was_shut = memory.seen(before) is device.ContactLevel.CLOSED
            # Whom a beam has seen before the contact was noted then.
            was_crossed = isinstance(before, portal.Status) and before.crossed_until is not None
            if was_shut and memory.seen(after) is device.ContactLevel.OPEN and not was_crossed:
                self._bikes.opened(portal_id, now)

    def _passage(self, effect: portal.Happened, now: datetime) -> Mapping[str, Any]:
        """Say who passed, and move them, when a passage is seen."""
        release = str(effect.data.get("release", ""))
        if effect.kind is EventKind.ACCESS_NOT_TAKEN:
            self._desk.not_taken(release)
        if effect.kind is not EventKind.ACCESS_TAKEN:
            return {}
        pending = self._desk.taken(release, now)
        if pending is None:
            return {}
        told = {
            "holder": pending.holder,
            "subject": pending.subject,
            "point": pending.point,
            "area": pending.area,
            "exit": pending.is_exit or None,
        }
        return {key: value for key, value in told.items() if value is not None}

    def _served(self) -> list[tuple[str, Portal]]:
        """The portals of the policy that this node drives."""
        serves, portals = self._serves(), self.policy.portals
        return [(id_, record) for id_, record in portals.items() if id_ in serves]

    def _beep(self, portal_id: str) -> Iterable[device.Show]:
        zh = self._language.startswith("zh")
        text = "请关门" if zh else "Please close the door"
        for point in self.policy.points_of(portal_id):
            yield device.Show(point.id, EventKind.DOOR_PREALARM, text, text)

    def _fire(self, report: device.FireInput, now: datetime) -> _Outcome:
        """Release every way out of this node, barriers included, before writing it down.

        GB 50116-2013 4.10.3 and GB 55024-2022 5.3.6: doors on evacuation routes, courtyard
        gates and parking barriers open on the fire signal.
        """
        (self._fires.add if report.is_active else self._fires.discard)(report.portal)
        outcome = _Outcome()
        for id_, record in self._served():
            if record.is_escape_route or record.kind is PortalKind.BARRIER:
                part = self._step(id_, portal.FireRead(bool(self._fires)), now)
                outcome.drafts += part.drafts
                outcome.at_once += part.commands
        return outcome

    def _loop(self, report: device.Loop, now: datetime) -> _Outcome:
        outcome = self._step(report.portal, lane.LoopRead(report.place, report.is_occupied), now)
        if report.place is device.LoopPlace.UNDER:
            return outcome
        if not self._desk.loop(report.portal, report.is_occupied, now):
            return outcome
        if not self._portals.is_lane(report.portal):
            kind = EventKind.VEHICLE_ARRIVED if report.is_occupied else EventKind.VEHICLE_LEFT
            outcome.drafts.append(self._draft(kind, report.portal, now, {}))
        waiting = self._desk.first_waiting(report.portal, now) if report.is_occupied else None
        if waiting is not None:
            outcome.add(self._read(waiting, now))
        return outcome

    def _fault(
        self,
        key: tuple[str, str, str],
        is_active: bool,
        kinds: tuple[EventKind, EventKind],
        data: Mapping[str, Any],
        now: datetime,
    ) -> _Outcome:
        if self._faults.get(key, False) == is_active:
            return _Outcome()
        self._faults[key] = is_active
        told = {**data, "part": key[1]} if key[1] else data
        return _Outcome([self._draft(kinds[0] if is_active else kinds[1], key[0], now, told)])

    def _presence(self, report: device.Online, now: datetime) -> _Outcome:
        key = (report.device, report.part)
        if self._online.get(key) == report.is_online:
            return _Outcome()
        self._online[key] = report.is_online
        kind = EventKind.DEVICE_ONLINE if report.is_online else EventKind.DEVICE_OFFLINE
        data = {"detail": report.detail}
        if report.part:
            data["part"] = report.part
        return _Outcome([self._draft(kind, report.device, now, data)])

    def _table(self, report: device.TableState, now: datetime) -> _Outcome:
        """Record how far a device's own table stands, when that changes."""
        data = to_data(report)
        data.pop("device")
        kind = EventKind.TABLE_HELD if report.wanted == report.held else EventKind.TABLE_BEHIND
        if report.rule or report.refused:
            kind = EventKind.TABLE_REFUSED
        key = f"{kind}/{report.wanted}/{report.rule}/{report.refused}"
        if self._states.get(report.device) == key:
            return _Outcome()
        self._states[report.device] = key
        return _Outcome([self._draft(kind, report.device, now, data)])

    def _worker(self, report: device.WorkerReport, now: datetime) -> _Outcome:
        """Record a camera's state when it changes, not each sign of life."""
        data = to_data(report.report)
        data.pop("camera", None)
        key = f"{data.get('tier', '')}{data.get('state', '')}"
        if self._states.get(report.device) == key:
            return _Outcome()
        self._states[report.device] = key
        return _Outcome([self._draft(EventKind.CAMERA_STATE, report.device, now, data)])

    def _refusal(self, report: device.Refused, now: datetime) -> _Outcome:
        minute = now.strftime("%H:%M")
        if minute != self._refused_minute:
            self._refused_minute, self._refused = minute, Counter()
        self._refused[report.device] += 1
        log.warning("message_refused", device=report.device, rule=report.rule)
        if self._refused[report.device] > REFUSED_EVENTS_PER_MINUTE:
            return _Outcome()
        data = {"code": report.code, "rule": report.rule, "value": report.value}
        if report.portal:
            data["portal"] = report.portal
        kind = EventKind.MESSAGE_REFUSED
        return _Outcome([self._draft(kind, report.device, now, data)])

    # Commands from the hub

    def _command_fault(self, command: sync.Command, now: datetime) -> str | None:
        if command.number <= self._command:
            return f"command {command.number} was carried out before"
        self._command = command.number
        self._unsaved["command"] = str(command.number)
        if now >= command.expires_at:
            late = (now - command.expires_at).total_seconds()
            return f"{command.kind} for {command.target} expired {late:.1f} s ago"
        kinds = sync.CommandKind
        if command.kind is kinds.FORGIVE:
            return None
        targets = self._targets(command)
        if not targets:
            return f"no portal, access point or area {command.target} here"
        if command.kind in _LASTING and _until(command, now) <= now:
            return f"{command.kind} needs an end, with its zone, that is yet to come"
        if command.kind is kinds.PRESENT:
            if command.target not in self.policy.points:
                return f"{command.target} is not an access point"
            return None if command.data.get("value") else "no credential is named"
        if command.kind is kinds.FIRE_RESTORE:
            for target in targets:
                if self.status(target).fire:
                    return f"the fire input is still active at {target}"
        if command.kind is kinds.RELEASE:
            for target in targets:
                if self.status(target).lockdown and not self.status(target).fire_latched:
                    return f"{target} is in lockdown"
        return None

    def _targets(self, command: sync.Command) -> list[str]:
        """Name the portals that a command is for: one, an access point's, an area's, or all."""
        if command.target == "*" and command.kind in sync.FOR_MANY:
            return [id_ for id_, _ in self._served()]
        if command.target.startswith("area:") and command.kind in sync.FOR_MANY:
            serves = self._serves()
            named = self.policy.portals_of_area(command.target.removeprefix("area:"))
            return [id_ for id_ in named if id_ in serves]
        point = self.policy.points.get(command.target)
        if point is not None:
            return [point.portal]
        return [command.target] if command.target in self.policy.portals else []

    def _commanded(self, command: sync.Command, now: datetime) -> _Outcome:
        if command.kind is sync.CommandKind.FORGIVE:
            subject = None if command.target == "*" else command.target
            forgiven = self._desk.whereabouts.forget(subject)
            log.info("forgiven", count=forgiven)
            return _Outcome()
        if command.kind is sync.CommandKind.PRESENT:
            value = str(command.data["value"])
            detail = {"command": command.id}
            return self._read(device.Read(command.target, Method.PHONE, value, detail=detail), now)
        outcome = _Outcome()
        for target in self._targets(command):
            outcome.add(self._step(target, _portal_input(command, now), now))
        return outcome

    # Durability

    def _draft(
        self,
        kind: EventKind,
        subject: str,
        at: datetime,
        data: Mapping[str, Any],
        origin: str | None = None,
    ) -> Draft:
        return Draft(kind, subject, at, data, self.policy.revision, origin)

    def _known(self, origin: str) -> Event | None:
        """Find what a device's message led to when it said it before."""
        try:
            return self._journal.find_origin(origin)
        except JournalError as error:
            # The way out must open all the same; nothing else can be written down anyway.
            log.error("journal_unreadable", error=str(error))
            return None

    def _is_news(self, known: Event, report: device.Report) -> bool:
        """Say whether a message is to be heard again: a level, told to a life that is over."""
        is_level = isinstance(report, device.Contact | device.Loop | device.FireInput)
        return is_level and known.boot != self._journal.boot

    def _release_again(self, event: Event) -> None:
        """Go on with a grant that is still open: its release may never have reached the door.

        The process may have died between the two, or the message was lost; a device obeys each
        release once.
        """
        point = self.policy.points.get(event.subject)
        release = event.data.get("release")
        # Counted from when it was shown, which may have been long before it was decided on.
        shown_at = event.at - timedelta(seconds=float(event.data.get("age_s", 0.0)))
        now = self._clock.now()
        if point is None or release is None or now - shown_at > STALE_AFTER:
            return
        grant = self.status(point.portal).grant
        if grant is not None and grant.id == release:
            self._carry_out(self._step(point.portal, grant, now), None)

    def _carry_out(self, outcome: _Outcome, origin: str | None) -> None:
        for command in outcome.at_once:
            self._dispatch(command)
        if not outcome.drafts:
            for command in outcome.commands:
                self._dispatch(command)
            if origin is not None:
                self._acknowledge(origin)
            return
        if origin is not None:
            self._in_flight.add(origin)
            if outcome.drafts[0].origin is None:
                outcome.drafts[0] = replace(outcome.drafts[0], origin=origin)
        durable = self._journal.enqueue(outcome.drafts)
        task = asyncio.create_task(self._finish(durable, outcome, origin, self._clock.now()))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _finish(
        self,
        durable: asyncio.Future[Appended],
        outcome: _Outcome,
        origin: str | None,
        since: datetime,
    ) -> None:
        try:
            appended = await durable
        except JournalError as error:
            self._not_durable(outcome.drafts, error)
            for command in outcome.commands:
                # What locks needs no record to be right.
                if isinstance(command, device.Secure):
                    self._dispatch(command)
            if self._owe(outcome.drafts, origin):
                origin = None  # in flight until it is written: said again, it would be no news
        else:
            if not self._desk.records:
                self._desk.records = True
                self.note(EventKind.STORAGE_RESTORED, "journal", {})
                self._write_owed()
            is_late = self._clock.now() - since > STALE_AFTER
            if not appended.was_known:
                for command in outcome.commands:
                    if not (is_late and self._is_past(command)):
                        self._dispatch(command)
            if origin is not None:
                self._acknowledge(origin)
        finally:
            if origin is not None:
                self._in_flight.discard(origin)

    def _is_past(self, command: device.Command) -> bool:
        """Whether a command that waited too long for the disk is for somebody who has gone."""
        if isinstance(command, device.Release):
            # A hold is no one's: as long as it stands, the portal has to be told.
            return self.status(command.portal).holds_unlocked != command.cause
        return isinstance(command, device.Show)

    def _not_durable(self, drafts: Sequence[Draft], error: JournalError) -> None:
        """Open nothing that can't be recorded; say so at the door. The device keeps its read."""
        self._desk.records = False
        for draft in drafts:
            log.error("event_not_durable", kind=draft.kind, subject=draft.subject, error=str(error))
            if draft.kind is EventKind.ACCESS_GRANTED and draft.data.get("reason") in ENTRIES:
                self._take_back(draft)

    def _owe(self, drafts: list[Draft], origin: str | None) -> bool:
        """Keep what has happened and moved our state, until it can be written; False if not kept.

        A presentation is not kept: its device shows it again, and it is decided anew. Nor is a
        command: it was not carried out.
        """
        if any(draft.kind in _NOT_OWED for draft in drafts):
            return False
        if len(self._owed) >= MAX_OWED:
            log.error("event_lost", kind=drafts[0].kind, subject=drafts[0].subject)
            return False
        self._owed.append((drafts, origin))
        return True

    def _write_owed(self) -> None:
        owed, self._owed = self._owed, []
        for drafts, origin in owed:
            self._carry_out(_Outcome(drafts), origin)

    def _take_back(self, draft: Draft) -> None:
        """Undo a grant that opened nothing, and say so at the door."""
        release = draft.data.get("release", "")
        self._desk.take_back(release, draft.data.get("pass"))
        self._portals.take_back(release)
        refused = Decision(
            Reason.RECORDS_UNAVAILABLE, draft.subject, draft.data["method"], draft.revision
        )
        self._dispatch(self._show(refused))

    def check_storage(self) -> None:
        """Try whether what could not be written can be written now; tell when room runs low."""
        if not self._desk.records:
            self.note(EventKind.STORAGE_LOW, "journal", {"rule": "events could not be written"})
        if self._unsaved:
            self._save()
        is_low = not self._journal.refill()
        if is_low != self._is_low:
            self._is_low = is_low
            kind = EventKind.STORAGE_LOW if is_low else EventKind.STORAGE_RESTORED
            self.note(kind, "journal", {"rule": "room set aside for a full disk"})

    def _acknowledge(self, origin: str) -> None:
        self._dispatch(device.Acknowledge(origin.split("/", 1)[0], origin))

    # What must outlive the process

    def _save(self) -> None:
        """Keep what holds portals: a lockdown or a fire release holds through a restart.

        Not at once where fire is concerned: a tick later the doors have been told.
        """
        self._unsaved |= self._portals.unsaved | self._desk.unsaved
        self._portals.unsaved.clear()
        self._desk.unsaved.clear()
        if not self._unsaved:
            return
        try:
            self._replica.set_facts(self._unsaved)
        except ReplicaError as error:
            self._is_saving = False
            log.error("state_not_saved", error=str(error))
        else:
            self._is_saving = True
            self._unsaved.clear()

    def _save_places(self) -> None:
        """Keep who is where; a power cut may take back the last of it, and is forgiven."""
        places = self._desk.whereabouts.unsaved
        if not places:
            return
        try:
            self._replica.set_facts(places, is_durable=False)
        except ReplicaError as error:
            log.error("places_not_saved", error=str(error))
        else:
            places.clear()

    def _restore(self) -> None:
        """Go on where the last life ended: what holds portals, and who was on the way through."""
        for name, fact in self._replica.facts(memory.PREFIX):
            self._portals.restore(name.removeprefix(memory.PREFIX), fact)
        self._restore_faults()
        recent = self._journal.read(max(0, self._journal.seq - RECENT_EVENTS), RECENT_EVENTS)
        self._bikes.restore(recent)
        for event in _open_grants(recent):
            point = self.policy.points.get(event.subject)
            record = self.policy.portals.get(point.portal) if point is not None else None
            if record is not None:
                # So long its device may ask again for a release that it never got.
                wait = max(timedelta(seconds=record.grant_s + record.entry_s), STALE_AFTER)
                release = str(event.data["release"])
                self._desk.restore(release, event.subject, event.data)
                holder = self.policy.holders.get(str(event.data.get("holder") or ""))
                is_exit = event.data.get("reason") == Reason.FREE_EGRESS
                grant = _granted(release, point, holder, is_exit=is_exit)
                if event.data.get("decided_by") == "device":
                    grant = replace(grant, is_released=True)
                self._portals.restore_grant(record.id, grant, event.at + wait)

    def _restore_faults(self) -> None:
        """Take up what is tampered with or faulty: that it is over must be told as well."""
        try:
            told = self._journal.faults()
        except JournalError as error:
            log.error("journal_unreadable", error=str(error))
            return
        for kind, subject, data in told:
            is_tamper = kind in (EventKind.TAMPER, EventKind.TAMPER_CLEARED)
            rule = "tamper" if is_tamper else str(data.get("rule", ""))
            key = (subject, str(data.get("part", "")), rule)
            self._faults[key] = kind in (EventKind.TAMPER, EventKind.DEVICE_FAULT)


MAX_OWED = 10_000
"""Groups of events kept while nothing can be written: some 10 MB, and hours of a full disk."""

_NOT_OWED = frozenset(
    {
        EventKind.ACCESS_GRANTED,
        EventKind.ACCESS_DENIED,
        EventKind.COMMAND_DONE,
        EventKind.COMMAND_REFUSED,
        EventKind.STORAGE_LOW,
        EventKind.STORAGE_RESTORED,
    }
)

RECENT_EVENTS = 200
"""Events to look back over at a start: far more than can happen in one grant time."""

_SETTLES = frozenset({EventKind.ACCESS_TAKEN, EventKind.ACCESS_NOT_TAKEN})


_LASTING = frozenset(
    {
        sync.CommandKind.HOLD_UNLOCKED,
        sync.CommandKind.HOLD_LOCKED,
        sync.CommandKind.MAINTENANCE,
    }
)
"""What a person begins that has to end by itself."""


def _open_grants(recent: Sequence[Event]) -> list[Event]:
    """Grants among the last events of which it is not known whether somebody walked through.

    Their timers run on: the next tick, or the contact, settles them.
    """
    settled = {event.data.get("release") for event in recent if event.kind in _SETTLES}
    settled.add(None)
    return [
        event
        for event in recent
        if event.kind is EventKind.ACCESS_GRANTED and event.data.get("release") not in settled
    ]


def _level_key(report: device.Level) -> tuple[str, ...]:
    """Name what a level is the level of."""
    kind = type(report).__name__
    match report:
        case device.Loop():
            return kind, report.portal, report.place
        case device.Tampered():
            return kind, report.device, report.part
        case device.Fault():
            return kind, report.device, report.part, report.rule
        case device.Contact() | device.FireInput() | device.Arm():
            return kind, report.portal


def _granted(
    release: str, point: AccessPoint | None, holder: Holder | None, *, is_exit: bool
) -> portal.Granted:
    """Word a decision for the portal: who, how many, and whether they need more time."""
    persons = max(1, point.persons) if point is not None else 1
    if holder is not None and holder.needs_escort:
        persons = max(2, persons)
    needs_time = holder is not None and holder.needs_time
    cause = Cause.EXIT if is_exit else Cause.DECISION
    who = {"holder": holder.id} if holder is not None else {}
    return portal.Granted(release, cause, who, persons, needs_time)


def _portal_input(command: sync.Command, now: datetime) -> portal.Input:
    kinds = sync.CommandKind
    match command.kind:
        case kinds.HOLD_UNLOCKED | kinds.HOLD_LOCKED:
            is_locked = command.kind is kinds.HOLD_LOCKED
            return Override(_until(command, now), command.by, is_locked)
        case kinds.HOLD_NORMAL:
            return Override(None, command.by)
        case kinds.MAINTENANCE:
            return Maintenance(_until(command, now), command.by)
        case kinds.MAINTENANCE_END:
            return Maintenance(None, command.by)
        case kinds.LOCKDOWN:
            return portal.Lockdown(is_active=True, by=command.by)
        case kinds.LOCKDOWN_END:
            return portal.Lockdown(is_active=False, by=command.by)
        case kinds.FIRE_RESTORE:
            return portal.FireRestore(command.by)
        case _:
            return portal.Granted(command.id, Cause.OPERATOR, {"by": command.by})


def _until(command: sync.Command, now: datetime) -> datetime:
    """Give the end of what a person holds: at once without one, within a day at most."""
    try:
        wanted = datetime.fromisoformat(str(command.data.get("until", "")))
    except ValueError:
        return now
    return min(wanted, now + MAX_HOLD) if wanted.tzinfo is not None else now
