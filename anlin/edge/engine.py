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

from anlin.core import device, portal, sync
from anlin.core.access import (
    STALE_AFTER,
    Decision,
    FirstFactor,
    Mode,
    Presentation,
    Reason,
    State,
    decide,
    explain,
)
from anlin.core.codec import to_data
from anlin.core.entities import AccessPoint, Method, Portal, PortalKind
from anlin.core.event import Draft, Event, EventKind
from anlin.core.policy import Policy
from anlin.core.qr import PassError
from anlin.core.qr import read as read_pass
from anlin.edge.clock import Clock
from anlin.edge.journal import Appended, Journal, JournalError
from anlin.edge.replica import Replica, ReplicaError
from anlin.edge.words import tell
from anlin.wire.keys import verify

log = structlog.get_logger(__name__)

PLATE_WAIT = timedelta(seconds=5)
"""A camera reads a plate before the car is on the loop; that long the reading waits for it."""

REFUSED_EVENTS_PER_MINUTE = 6
"""A device that talks rubbish is recorded as such, not once for each piece of rubbish."""

Dispatch = Callable[[device.Command], None]


@dataclass(slots=True)
class _Outcome:
    """What one input led to: events to write first, commands to send then."""

    drafts: list[Draft] = field(default_factory=list)
    commands: list[device.Command] = field(default_factory=list)
    at_once: list[device.Command] = field(default_factory=list)
    """Commands that do not wait for the disk: fire and the way out."""


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
        self._statuses: dict[str, portal.Status] = {}
        self._schedules: dict[str, bool] = {}
        self._loops: dict[str, bool] = {}
        self._left_at: dict[str, datetime] = {}
        self._tampered: dict[str, bool] = {}
        self._online: dict[str, bool] = {}
        self._cameras: dict[str, str] = {}
        self._fires: set[str] = set()
        self._waiting_plates: dict[tuple[str, str], tuple[device.Read, datetime]] = {}
        """By access point and plate, the first in line first."""
        self._first_factors: dict[str, FirstFactor] = {}
        self._pass_uses = Counter(journal.pass_uses())
        self._refused: Counter[str] = Counter()
        self._refused_minute = ""
        self._in_flight: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._records = True
        self._is_low = False
        self._unsaved: dict[str, str] = {}
        self._is_saving = True
        self._command = int(replica.fact("command") or 0)
        self.is_online = False
        self._restore()

    @property
    def policy(self) -> Policy:
        """The policy that decides now."""
        return self._replica.policy

    @property
    def command(self) -> int:
        """The number of the last command that was taken."""
        return self._command

    def status(self, portal_id: str) -> portal.Status:
        """Give what is known of a portal."""
        return self._statuses.get(portal_id, portal.Status())

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
        match report:
            case device.Read():
                outcome = self._read(report, now)
            case device.Contact():
                outcome = self._step(report.portal, portal.ContactRead(report.level), now)
            case device.FireInput():
                outcome = self._fire(report, now)
            case device.Loop():
                outcome = self._loop(report, now)
            case device.Tampered():
                outcome = self._tamper(report, now)
            case device.Online():
                outcome = self._presence(report, now)
            case device.WorkerReport():
                outcome = self._worker(report, now)
            case device.Refused():
                outcome = self._refusal(report, now)
        if known is not None and origin is not None:
            written = (known.kind, known.subject)
            outcome.drafts = [d for d in outcome.drafts if (d.kind, d.subject) != written]
            self._acknowledge(origin)
            origin = None
        self._carry_out(outcome, origin)

    def obey(self, command: sync.Command) -> None:
        """Carry out a person's command from the hub, once, and only while it is fresh."""
        now = self._clock.now()
        rule = self._command_fault(command, now)
        if rule is not None:
            refused = {"command": command.id, "kind": command.kind, "rule": rule}
            kind = EventKind.COMMAND_REFUSED
            self._carry_out(_Outcome([self._draft(kind, command.target, now, refused)]), None)
            return
        outcome = _Outcome()
        for target in self._targets(command):
            part = self._step(target, _portal_input(command, now), now)
            outcome.drafts += part.drafts
            outcome.commands += part.commands
        done = {"command": command.id, "kind": command.kind, "by": command.by, **command.data}
        outcome.drafts.insert(0, self._draft(EventKind.COMMAND_DONE, command.target, now, done))
        self._save()
        self._carry_out(outcome, None)

    def tick(self) -> None:
        """Run the timers and schedules that have come due."""
        now = self._clock.now()
        for id_, record in self._portals():
            held = False
            if record.schedule is not None:
                schedule = self.policy.schedules.get(record.schedule)
                held = schedule is not None and schedule.is_active(now)
            if held != self._schedules.get(id_, False):
                self._schedules[id_] = held
                self._carry_out(self._step(id_, portal.ScheduleRead(held), now), None)
            status = self._statuses.get(id_)
            if status is not None:
                due = portal.next_deadline(record, status)
                if due is not None and now >= due:
                    self._carry_out(self._step(id_, portal.Tick(), now), None)
        self._forget_plates(now)
        if self._unsaved and self._is_saving:
            self._save()

    def refresh(self, portals: Iterable[str]) -> None:
        """Tell portals again how they should stand: a device that was away has missed it."""
        for id_ in portals:
            status = self._statuses.get(id_)
            if status is None:
                continue
            if status.holds_unlocked is not None:
                release = device.Release(id_, secrets.token_hex(8), None, status.holds_unlocked)
                self._dispatch(release)
            elif status.grant is None:
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

    def _read(self, report: device.Read, now: datetime) -> _Outcome:
        presentation = self._presentation(report, now)
        state = self._state(report.point)
        decision = decide(self.policy, presentation, state, now)
        outcome = _Outcome()
        point = self.policy.points.get(report.point)
        data = self._decision_data(decision, presentation, report)
        if decision.is_granted:
            self._remember_grant(decision, presentation)
            kind = EventKind.ACCESS_GRANTED
        else:
            kind = EventKind.ACCESS_DENIED
            self._remember_denial(decision, presentation, report, now)
            _, checks = explain(self.policy, presentation, state, now)
            data["checks"] = [[row.name, row.outcome, row.saw] for row in checks]
        if decision.error is not None:
            log.error("decision_failed", point=report.point, error=decision.error)
            data["error"] = decision.error
        outcome.drafts.append(self._draft(kind, report.point, now, data, report.origin))
        if "release" in data and point is not None:
            release = portal.Granted(data["release"], data={"holder": decision.holder})
            opened = self._step(point.portal, release, now)
            outcome.drafts += opened.drafts
            if decision.reason is Reason.GRANTED:
                outcome.commands += opened.commands
            else:
                outcome.at_once += opened.commands
        outcome.commands.append(self._show(decision))
        return outcome

    def _presentation(self, report: device.Read, now: datetime) -> Presentation:
        evidence, leave, fault = report.evidence, None, None
        point = self.policy.points.get(report.point)
        if report.method is Method.PLATE and point is not None and point.portal in self._loops:
            is_there = (
                self._loops[point.portal]
                and evidence.vehicle_present is not False
                and not self._has_left(report, now)
            )
            evidence = replace(evidence, vehicle_present=is_there)
        if report.method is Method.QR:
            keys = {issuer.id: issuer.public_key for issuer in self.policy.issuers.values()}
            try:
                leave = read_pass(report.value, keys, verify)
            except PassError as error:
                fault = str(error)
        return Presentation(
            report.point, report.method, report.value, now, evidence, leave, fault, report.age_s
        )

    def _state(self, point_id: str) -> State:
        point = self.policy.points.get(point_id)
        status = self.status(point.portal) if point is not None else portal.Status()
        mode = Mode.NORMAL
        if status.fire_latched:
            mode = Mode.FIRE
        elif status.lockdown:
            mode = Mode.LOCKDOWN
        first = self._first_factors.get(point_id)
        return State(mode, self._pass_uses, first, self._records)

    def _remember_grant(self, decision: Decision, presentation: Presentation) -> None:
        self._first_factors.pop(decision.point, None)
        self._waiting_plates.pop((decision.point, presentation.value), None)
        if decision.reason is Reason.GRANTED and presentation.leave is not None:
            self._pass_uses[presentation.leave.id] += 1

    def _remember_denial(
        self, decision: Decision, presentation: Presentation, report: device.Read, now: datetime
    ) -> None:
        if decision.reason is Reason.SECOND_FACTOR_REQUIRED and decision.holder is not None:
            first = FirstFactor(decision.holder, decision.method, decision.level, now)
            self._first_factors[decision.point] = first
        elif decision.reason is Reason.VEHICLE_NOT_PRESENT and not self._has_left(report, now):
            key = (decision.point, presentation.value)
            self._waiting_plates[key] = (replace(report, origin=None), now)

    def _decision_data(
        self, decision: Decision, presentation: Presentation, report: device.Read
    ) -> dict[str, Any]:
        point = self.policy.points.get(decision.point)
        latency = presentation.age_s * 1000 + float(report.detail.get("seen_ms", 0))
        data: dict[str, Any] = {
            "reason": decision.reason,
            "method": decision.method,
            "point": decision.point,
            "portal": point.portal if point is not None else None,
            "holder": decision.holder,
            "label": decision.label,
            "credential": decision.credential,
            "rule": decision.rule,
            "level": decision.level,
            "latency_ms": round(latency, 1),
            "offline": not self.is_online,
            **to_data(presentation.evidence),
            **{key: value for key, value in report.detail.items() if key != "seen_ms"},
        }
        if decision.is_granted and timedelta(seconds=presentation.age_s) <= STALE_AFTER:
            # Who pressed the exit button long ago has pressed it again, or has left.
            data["release"] = secrets.token_hex(8)
        if presentation.leave is not None:
            data["pass"] = presentation.leave.id
            data["leave"] = to_data(presentation.leave)
        if presentation.fault is not None:
            data["fault"] = presentation.fault
        if decision.method is Method.PLATE or (
            decision.credential is None and decision.method in _SHOWABLE
        ):
            data["value"] = presentation.value
        return {key: value for key, value in data.items() if value is not None and value != ""}

    def _show(self, decision: Decision) -> device.Show:
        text = tell(decision, self._language)
        return device.Show(
            decision.point, decision.reason, text, text, is_granted=decision.is_granted
        )

    # Portals

    def _step(self, portal_id: str, given: portal.Input, now: datetime) -> _Outcome:
        record = self.policy.portals.get(portal_id) or Portal(portal_id, portal_id)
        before = self.status(portal_id)
        after, effects = portal.step(record, before, given, now)
        self._statuses[portal_id] = after
        if _holds(before) != _holds(after):
            self._unsaved[f"portal/{portal_id}"] = _flags(after)
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
                    outcome.drafts.append(
                        self._draft(
                            effect.kind, portal_id, now, {**effect.data, "state": after.state}
                        )
                    )
        return outcome

    def _portals(self) -> list[tuple[str, Portal]]:
        """The portals of the policy that this node drives."""
        serves, portals = self._serves(), self.policy.portals
        return [(id_, record) for id_, record in portals.items() if id_ in serves]

    def _beep(self, portal_id: str) -> Iterable[device.Show]:
        zh = self._language.startswith("zh")
        text = "请关门" if zh else "Please close the door"
        for point in self._points_of(portal_id):
            yield device.Show(point.id, EventKind.DOOR_PREALARM, text, text)

    def _points_of(self, portal_id: str) -> list[AccessPoint]:
        return [point for point in self.policy.points.values() if point.portal == portal_id]

    def _fire(self, report: device.FireInput, now: datetime) -> _Outcome:
        """Release every way out of this node, barriers included, before writing it down.

        GB 50116-2013 4.10.3 and GB 55024-2022 5.3.6: doors on evacuation routes, courtyard
        gates and parking barriers open on the fire signal.
        """
        (self._fires.add if report.is_active else self._fires.discard)(report.portal)
        outcome = _Outcome()
        for id_, record in self._portals():
            if record.is_escape_route or record.kind is PortalKind.BARRIER:
                part = self._step(id_, portal.FireRead(bool(self._fires)), now)
                outcome.drafts += part.drafts
                outcome.at_once += part.commands
        return outcome

    def _loop(self, report: device.Loop, now: datetime) -> _Outcome:
        if self._loops.get(report.portal) == report.is_occupied:
            return _Outcome()
        self._loops[report.portal] = report.is_occupied
        if not report.is_occupied:
            self._left_at[report.portal] = now
        kind = EventKind.VEHICLE_ARRIVED if report.is_occupied else EventKind.VEHICLE_LEFT
        outcome = _Outcome([self._draft(kind, report.portal, now, {})])
        if report.is_occupied:
            again = self._first_waiting(report.portal, now)
            outcome.drafts += again.drafts
            outcome.commands += again.commands
        return outcome

    def _first_waiting(self, portal_id: str, now: datetime) -> _Outcome:
        """Decide on the plate that has waited longest for a car to drive up; it is the car's."""
        self._forget_plates(now)
        for key, (report, read_at) in self._waiting_plates.items():
            point = self.policy.points.get(key[0])
            if point is not None and point.portal == portal_id:
                del self._waiting_plates[key]
                age_s = report.age_s + (now - read_at).total_seconds()
                return self._read(replace(report, age_s=age_s), now)
        return _Outcome()

    def _has_left(self, report: device.Read, now: datetime) -> bool:
        """Whether a car has left since this plate was seen; the plate may have gone with it."""
        point = self.policy.points.get(report.point)
        left_at = self._left_at.get(point.portal) if point is not None else None
        return left_at is not None and now - timedelta(seconds=report.age_s) < left_at

    def _forget_plates(self, now: datetime) -> None:
        for key, (_, read_at) in list(self._waiting_plates.items()):
            if now - read_at > PLATE_WAIT:
                del self._waiting_plates[key]

    def _tamper(self, report: device.Tampered, now: datetime) -> _Outcome:
        if self._tampered.get(report.device, False) == report.is_active:
            return _Outcome()
        self._tampered[report.device] = report.is_active
        kind = EventKind.TAMPER if report.is_active else EventKind.TAMPER_CLEARED
        return _Outcome([self._draft(kind, report.device, now, {})])

    def _presence(self, report: device.Online, now: datetime) -> _Outcome:
        if self._online.get(report.device) == report.is_online:
            return _Outcome()
        self._online[report.device] = report.is_online
        kind = EventKind.DEVICE_ONLINE if report.is_online else EventKind.DEVICE_OFFLINE
        return _Outcome([self._draft(kind, report.device, now, {"detail": report.detail})])

    def _worker(self, report: device.WorkerReport, now: datetime) -> _Outcome:
        """Record a camera's state when it changes, not each sign of life."""
        data = to_data(report.report)
        data.pop("camera", None)
        key = f"{data.get('tier', '')}{data.get('state', '')}"
        if self._cameras.get(report.device) == key:
            return _Outcome()
        self._cameras[report.device] = key
        return _Outcome([self._draft(EventKind.CAMERA_STATE, report.device, now, data)])

    def _refusal(self, report: device.Refused, now: datetime) -> _Outcome:
        minute = now.strftime("%H:%M")
        if minute != self._refused_minute:
            self._refused_minute, self._refused = minute, Counter()
        self._refused[report.device] += 1
        log.warning("message_refused", device=report.device, rule=report.rule)
        if self._refused[report.device] > REFUSED_EVENTS_PER_MINUTE:
            return _Outcome()
        data = {"rule": report.rule, "value": report.value}
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
        targets = self._targets(command)
        if not targets:
            return f"no portal or access point {command.target} here"
        if command.kind is sync.CommandKind.RELEASE:
            for target in targets:
                if self.status(target).lockdown and not self.status(target).fire_latched:
                    return f"{target} is in lockdown"
        return None

    def _targets(self, command: sync.Command) -> list[str]:
        if command.target == "*" and command.kind is not sync.CommandKind.RELEASE:
            return [id_ for id_, _ in self._portals()]
        point = self.policy.points.get(command.target)
        if point is not None:
            return [point.portal]
        return [command.target] if command.target in self.policy.portals else []

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
        now = self._clock.now()
        if point is None or release is None or now - event.at > STALE_AFTER:
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
        task = asyncio.create_task(self._finish(durable, outcome, origin))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _finish(
        self, durable: asyncio.Future[Appended], outcome: _Outcome, origin: str | None
    ) -> None:
        try:
            appended = await durable
        except JournalError as error:
            self._not_durable(outcome.drafts, error)
        else:
            if not self._records:
                self._records = True
                self.note(EventKind.STORAGE_RESTORED, "journal", {})
            if not appended.was_known:
                for command in outcome.commands:
                    self._dispatch(command)
            if origin is not None:
                self._acknowledge(origin)
        finally:
            if origin is not None:
                self._in_flight.discard(origin)

    def _not_durable(self, drafts: Sequence[Draft], error: JournalError) -> None:
        """Open nothing that can't be recorded; say so at the door. The device keeps its read."""
        self._records = False
        for draft in drafts:
            log.error("event_not_durable", kind=draft.kind, subject=draft.subject, error=str(error))
            if draft.data.get("reason") is Reason.GRANTED:
                self._take_back(draft)

    def _take_back(self, draft: Draft) -> None:
        """Undo a grant that opened nothing, and say so at the door."""
        leave = draft.data.get("pass")
        if leave is not None:
            self._pass_uses[leave] -= 1
        for id_, status in self._statuses.items():
            if status.grant is not None and status.grant.id == draft.data["release"]:
                self._statuses[id_] = replace(status, grant=None, grant_until=None)
        refused = Decision(
            Reason.RECORDS_UNAVAILABLE, draft.subject, draft.data["method"], draft.revision
        )
        self._dispatch(self._show(refused))

    def check_storage(self) -> None:
        """Try whether what could not be written can be written now; tell when room runs low."""
        if not self._records:
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
        try:
            self._replica.set_facts(self._unsaved)
        except ReplicaError as error:
            self._is_saving = False
            log.error("state_not_saved", error=str(error))
        else:
            self._is_saving = True
            self._unsaved.clear()

    def _restore(self) -> None:
        """Go on where the last life ended: what holds portals, and who was on the way through."""
        for portal_id in self.policy.portals:
            flags = self._replica.fact(f"portal/{portal_id}")
            if flags is None or flags == "00":
                continue
            until = datetime.fromisoformat(flags[2:]) if flags[2:] else None
            self._statuses[portal_id] = portal.Status(
                fire_latched=flags[0] == "1", lockdown=flags[1] == "1", override_until=until
            )
        for event in self._open_grants():
            point = self.policy.points.get(event.subject)
            record = self.policy.portals.get(point.portal) if point is not None else None
            if record is not None:
                status = self.status(record.id)
                self._statuses[record.id] = replace(
                    status,
                    grant=portal.Granted(event.data["release"]),
                    # So long its device may ask again for a release that it never got.
                    grant_until=event.at + max(timedelta(seconds=record.grant_s), STALE_AFTER),
                )

    def _open_grants(self) -> list[Event]:
        """Grants among the last events of which it is not known whether somebody walked through.

        Their timers run on: the next tick, or the contact, settles them.
        """
        recent = self._journal.read(max(0, self._journal.seq - RECENT_EVENTS), RECENT_EVENTS)
        settled = {event.data.get("release") for event in recent if event.kind in _SETTLES}
        settled.add(None)
        return [
            event
            for event in recent
            if event.kind is EventKind.ACCESS_GRANTED and event.data.get("release") not in settled
        ]


RECENT_EVENTS = 200
"""Events to look back over at a start: far more than can happen in one grant time."""

_SETTLES = frozenset({EventKind.ACCESS_TAKEN, EventKind.ACCESS_NOT_TAKEN})

_SHOWABLE = frozenset({Method.CARD, Method.SECURE_CARD})
"""Methods whose unknown value is worth keeping: a clerk registers the card just shown."""


def _holds(status: portal.Status) -> tuple[bool, bool, datetime | None]:
    return status.fire_latched, status.lockdown, status.override_until


def _flags(status: portal.Status) -> str:
    until = status.override_until.isoformat() if status.override_until else ""
    return f"{int(status.fire_latched)}{int(status.lockdown)}{until}"


def _portal_input(command: sync.Command, now: datetime) -> portal.Input:
    kinds = sync.CommandKind
    match command.kind:
        case kinds.RELEASE:
            return portal.Granted(command.id, portal.Cause.OPERATOR, {"by": command.by})
        case kinds.HOLD_UNLOCKED:
            seconds = float(command.data.get("seconds", 300))
            return portal.Override(now + timedelta(seconds=min(seconds, 24 * 3600)), command.by)
        case kinds.HOLD_NORMAL:
            return portal.Override(None, command.by)
        case kinds.LOCKDOWN:
            return portal.Lockdown(is_active=True, by=command.by)
        case kinds.LOCKDOWN_END:
            return portal.Lockdown(is_active=False, by=command.by)
        case kinds.FIRE_RESTORE:
            return portal.FireRestore(command.by)
