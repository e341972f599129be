"""One node at work: storage, engine, devices and uplink, wired and kept running."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path

import httpx
import structlog

from anlin import __version__
from anlin.core import sync
from anlin.core.codec import DataError, from_data, to_data
from anlin.core.detection import GalleryRemove, WorkerReady
from anlin.core.device import Online, Photo, PhotoWanted, Report, WorkerReport
from anlin.core.entities import Method, Template
from anlin.core.event import EventKind
from anlin.core.policy import Delta, PolicyError
from anlin.core.qr import SEALED_AS as PASS_KEY
from anlin.edge.clock import SteadyClock
from anlin.edge.desk import PIN_KEY
from anlin.edge.devices import Devices
from anlin.edge.engine import Engine
from anlin.edge.gallery import gallery
from anlin.edge.identity import Identity
from anlin.edge.journal import NOWHERE, JournalError, Place
from anlin.edge.links.mqtt import Broker, MqttBus
from anlin.edge.photos import fetch_photo
from anlin.edge.pulse import Pulse
from anlin.edge.replica import ReplicaError
from anlin.edge.salvage import open_journal, open_replica
from anlin.edge.supervisor import NEAR_WAIT_S, Supervisor
from anlin.edge.tables import Tables
from anlin.edge.uplink import REQUEST_TIMEOUT_S, Downstream, HubError, Outbox
from anlin.wire.keys import SealError, unseal

log = structlog.get_logger(__name__)

TICK_S = 0.05
"""A forced door must be told within one poll of its contact."""

WATCH_S = 5.0

UPLINK = "uplink"
"""Fact of the replica: whether the hub was told that it is lost, and not yet that it is back."""


class Node:
    """Everything that one node runs."""

    def __init__(self, home: Path, identity: Identity, hub: str, down: str) -> None:
        self._identity = identity
        self._media = home / "media"
        self._media.mkdir(parents=True, exist_ok=True)
        broker = _broker(home)
        self._replica, self._replica_fault = open_replica(home / "replica.sqlite3")
        self._place = self._known_place()
        self._journal, self._salvaged = open_journal(
            home / "journal.sqlite3", identity.node, self._place
        )
        self._clock = SteadyClock(self._journal.last_at())
        self._pulse = Pulse(self._clock)
        self._supervisor = Supervisor()
        self._bus = MqttBus(broker, self._on_broker)
        self._devices = Devices(
            identity.node, self._media, self._bus, self._supervisor, self._clock
        )
        self._engine = Engine(
            self._replica,
            self._journal,
            self._clock,
            self._devices.dispatch,
            serves=self._devices.portals,
        )
        self._devices.listen(self._take)
        self._outbox = Outbox(
            hub,
            identity.token,
            self._journal,
            self._media,
            lambda: self._replica.policy.revision,
        )
        self._down = Downstream(down, identity.token)
        self._photos = httpx.AsyncClient(
            base_url=hub,
            timeout=REQUEST_TIMEOUT_S,
            headers={"Authorization": f"Bearer {identity.token}"},
        )
        self._tables = Tables(lambda: self._replica.policy, self._devices, self._clock)
        self._models: dict[str, str] = {}
        self._is_resync = False
        self._is_lost = self._replica.fact(UPLINK) == "lost"

    async def run(self, stop: asyncio.Event) -> None:
        """Work until told to stop, or until storage needs a new start; leave everything durable.

        Raises:
            JournalError: a page of the journal is broken; the next start salvages it.
        """
        self._tell_start()
        self._devices.follow(self._replica.policy.devices)
        self._open_secrets()
        self._supervisor.keep("tables", self._tables.run)
        self._supervisor.keep("mqtt", self._bus.run, NEAR_WAIT_S)
        self._supervisor.keep("outbox", self._outbox.run)
        self._supervisor.keep("down-stream", self._follow_hub)
        self._supervisor.keep("ticks", self._tick, NEAR_WAIT_S)
        watch = asyncio.create_task(self._watch())
        log.info("ready", node=self._identity.node, rules_as_of=self._replica.policy.revision)
        try:
            await asyncio.wait(
                {watch, asyncio.create_task(stop.wait())}, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            watch.cancel()
            await self._stop()
        if not stop.is_set():
            await watch

    async def _stop(self) -> None:
        await self._supervisor.stop()
        self._engine.note(EventKind.NODE_STOPPED, self._identity.node, {"boot": self._journal.boot})
        await self._engine.settle()
        await self._devices.settle()
        await self._outbox.close()
        await self._photos.aclose()
        await self._down.close()
        self._keep_place()
        self._journal.close()
        self._replica.close()

    def _tell_start(self) -> None:
        data = {
            "software": __version__,
            "boot": self._journal.boot,
            "rules_as_of": self._replica.policy.revision,
        }
        if self._salvaged is not None:
            data["damaged_journal"] = self._salvaged.damaged
            data["carried_over"] = self._salvaged.carried_over
            data["rule"] = self._salvaged.rule
        if self._replica_fault:
            data["damaged_replica"] = self._replica_fault
        self._engine.note(EventKind.NODE_STARTED, self._identity.node, data)
        if self._clock.started_behind:
            rule = "the wall clock is behind the last recorded event; going on from there"
            self._engine.note(EventKind.CLOCK_JUMPED, self._identity.node, {"rule": rule})
        self._engine.check_storage()

    # Devices

    def _take(self, report: Report) -> None:
        self._beat()
        if isinstance(report, PhotoWanted):
            self._want_photo(report.device, report.credential)
            return
        if isinstance(report, WorkerReport) and isinstance(report.report, WorkerReady):
            model = report.report.models.get("face_embed")
            if model is not None:
                self._models[report.device] = model
                device = report.device
                self._supervisor.until_done(
                    f"gallery of {device}", lambda: self._fill(device, model)
                )
        self._engine.take(report)
        if isinstance(report, Online) and report.is_online:
            self._tables.changed()
            self._engine.refresh(self._devices.portals(report.device))

    def _want_photo(self, device: str, credential: str) -> None:
        name = f"photo {credential} for {device}"
        self._supervisor.until_done(name, lambda: self._give_photo(device, credential))

    async def _give_photo(self, device: str, credential: str) -> None:
        """Fetch a photograph from the hub for a terminal that makes its own template of it."""
        jpeg = await fetch_photo(self._photos, self._identity.sealing_key, credential)
        await self._devices.send_to(device, Photo(device, credential, jpeg))

    async def _fill(self, device: str, model: str) -> None:
        """Tell one camera every face it should know."""
        await self._teach_camera(device, model, list(self._replica.policy.templates.values()))

    async def _teach_camera(self, device: str, model: str, templates: list[Template]) -> None:
        async for chunk in gallery(self._identity.sealing_key, templates, model):
            await self._devices.send_to(device, chunk)

    def _on_broker(self, is_up: bool, detail: str) -> None:
        kind = EventKind.DEVICE_ONLINE if is_up else EventKind.DEVICE_OFFLINE
        self._engine.note(kind, "mqtt-broker", {"detail": detail})

    # The hub

    async def _follow_hub(self) -> None:
        after = 0 if self._is_resync else self._replica.policy.revision
        try:
            await self._down.follow(after, self._engine.command, self._hear)
        except asyncio.CancelledError:
            raise  # we are stopping, and the hub is not lost
        except Exception:
            self._set_online(False)
            raise
        self._set_online(False)

    def _hear(self, message: sync.Down) -> None:
        self._set_online(True)
        match message:
            case Delta():
                self._apply(message)
            case sync.Command():
                self._engine.obey(message)
            case sync.Beat():
                jump = self._clock.agree(message.at)
                if jump is not None:
                    data = {"by_s": jump.by_s, "rule": "the hub's time is followed"}
                    self._engine.note(EventKind.CLOCK_JUMPED, self._identity.node, data)
            case sync.Snapshot():
                self._is_resync = True
                raise HubError(f"the hub wants this node to start anew: {message.reason}")

    def _apply(self, delta: Delta) -> None:
        before = dict(self._replica.policy.templates)
        try:
            self._replica.apply(delta)
        except (PolicyError, ReplicaError) as error:
            if isinstance(error, ReplicaError):
                self._journal.make_room()
            data = {"rule": str(error), "after": delta.after, "upto": delta.upto}
            self._engine.note(EventKind.POLICY_REFUSED, self._identity.node, data)
            raise
        self._is_resync = False
        data = {"upto": delta.upto, "changes": len(delta.changes)}
        self._engine.note(EventKind.POLICY_APPLIED, self._identity.node, data)
        self._devices.follow(self._replica.policy.devices)
        self._open_secrets()
        self._tables.changed()
        self._teach(before)

    def _open_secrets(self) -> None:
        """Open what the hub sealed to this node's key."""
        self._engine.set_pin_secret(self._secret(PIN_KEY))
        self._engine.set_pass_secret(self._secret(PASS_KEY))

    def _secret(self, use: str) -> bytes | None:
        sealed = self._replica.policy.sealed_keys.get(use)
        if sealed is None:
            return None
        try:
            return unseal(self._identity.sealing_key, sealed.sealed, use)
        except SealError as error:
            log.error("secret_not_opened", use=use, error=str(error))
            return None

    def _teach(self, before: Mapping[str, Template]) -> None:
        """Tell the cameras what changed among the faces; forget before learning."""
        after = self._replica.policy.templates
        gone = tuple(sorted(id_ for id_ in before if after.get(id_) != before[id_]))
        if gone:
            self._devices.dispatch(GalleryRemove(gone))
        new = [template for id_, template in after.items() if before.get(id_) != template]
        if new:
            for template in new:
                if template.id in before:
                    self._renew_photos(template.id)
            name = f"faces as of revision {self._replica.policy.revision}"
            self._supervisor.until_done(name, lambda: self._teach_all(new))

    def _renew_photos(self, credential: str) -> None:
        """Give terminals the photograph of a face that was enrolled anew."""
        for device, holding in self._devices.tables().items():
            if Method.FACE in holding.methods:
                self._want_photo(device, credential)

    async def _teach_all(self, templates: list[Template]) -> None:
        for device, model in list(self._models.items()):
            await self._teach_camera(device, model, templates)

    def _set_online(self, is_online: bool) -> None:
        if is_online == self._engine.is_online:
            return
        self._engine.is_online = is_online
        if is_online and not self._is_lost:
            return  # reached for the first time, or after an ordinary stop: nothing was lost
        self._is_lost = not is_online
        kind = EventKind.UPLINK_BACK if is_online else EventKind.UPLINK_LOST
        self._engine.note(kind, self._identity.node, {"unsent": self._unsent()})
        try:
            fact = {UPLINK: "lost" if self._is_lost else "held"}
            self._replica.set_facts(fact, is_durable=False)
        except ReplicaError as error:
            log.error("uplink_not_kept", error=str(error))

    def _unsent(self) -> int:
        return self._journal.seq - self._journal.acked

    def _known_place(self) -> Place:
        """Where the journal was last known to stand, kept apart from it."""
        kept = self._replica.fact("journal")
        return NOWHERE if kept is None else from_data(Place, json.loads(kept))

    def _keep_place(self) -> None:
        place = self._journal.place
        if place == self._place:
            return
        try:
            self._replica.set_facts({"journal": json.dumps(to_data(place))}, is_durable=False)
            self._place = place
        except ReplicaError as error:
            log.error("place_not_kept", error=str(error))

    # Time

    async def _tick(self) -> None:
        while True:
            self._beat()
            self._engine.tick()
            await asyncio.sleep(TICK_S)

    def _beat(self) -> None:
        """Look whether this process stood still: before anything is taken for fresh."""
        stood_still_s = self._pulse.beat()
        if stood_still_s:
            self._engine.stood_still(stood_still_s)

    async def _watch(self) -> None:
        """See to clock and storage now and then, until the journal turns out to be broken."""
        while not self._journal.is_damaged:
            await asyncio.sleep(WATCH_S)
            jump = self._clock.check()
            if jump is not None:
                data = {"by_s": jump.by_s, "rule": "the wall clock was set; not followed"}
                self._engine.note(EventKind.CLOCK_JUMPED, self._identity.node, data)
            self._engine.check_storage()
            self._keep_place()
        raise JournalError(f"journal {self._journal.path}: a page is broken; start again")


def _broker(home: Path) -> Broker:
    path = home / "mqtt.json"
    try:
        return from_data(Broker, json.loads(path.read_text()))
    except FileNotFoundError:
        raise SystemExit(
            f"{path} is missing: it names the MQTT broker and our user there"
        ) from None
    except (DataError, ValueError) as error:
        raise SystemExit(f"{path}: {error}") from error
