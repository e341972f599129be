"""Cameras, each watched by a worker process of its own (anlin.core.detection)."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import UTC, datetime

from anlin.core.access import Evidence
from anlin.core.codec import DataError, from_data
from anlin.core.detection import (
    Configure,
    FaceSeen,
    GalleryAdd,
    GalleryRemove,
    PlateSeen,
    Task,
    WorkerReady,
    WorkerState,
    from_line,
    to_line,
)
from anlin.core.device import Command, Read, Refused, Report, WorkerReport
from anlin.core.entities import Device, Method
from anlin.drivers.base import Emit, Link, driver

MAX_RULE_CHARS = 200


@driver("camera")
class Camera:
    """One camera before one access point: faces or plates become reads."""

    LINK = "worker"

    def __init__(self, device: Device) -> None:
        self.id = device.id
        given = dict(device.settings)
        self._point = given.pop("point", None)
        if not isinstance(self._point, str) or not self._point:
            raise ValueError(f"device {device.id}: setting 'point' must name an access point")
        try:
            self._configure = from_data(Configure, {**given, "camera": device.id})
        except DataError as error:
            raise ValueError(f"device {device.id}: setting {error}") from error
        for name in ("fps", "votes"):
            if getattr(self._configure, name) <= 0:
                raise ValueError(f"device {device.id}: setting {name!r} must be above 0")
        self._life = ""

    def serves(self) -> Mapping[str, frozenset[str]]:
        return {"portals": frozenset(), "points": frozenset({self._point})}

    async def run(self, link: Link, emit: Emit) -> None:
        # Tracks are numbered in a worker's life; this names the life.
        self._life = secrets.token_hex(4)
        await link.send("configure", to_line(self._configure))
        async for _, line in link:
            emit(self.decode(line))

    async def send(self, link: Link, command: Command) -> bool:
        match command:
            case GalleryAdd() | GalleryRemove() if self._configure.task is Task.FACES:
                await link.send("gallery", to_line(command))
                return True
            case _:
                return False

    def decode(self, line: bytes) -> Report:
        """Read one line of the worker; what breaks the protocol comes back as `Refused`."""
        try:
            message = from_line(line)
        except DataError as error:
            return Refused(self.id, str(error)[:MAX_RULE_CHARS])
        match message:
            case FaceSeen():
                return self._face(message)
            case PlateSeen():
                return self._plate(message)
            case WorkerReady() | WorkerState():
                return WorkerReport(self.id, message)
            case _:
                return Refused(self.id, "a worker does not send commands")

    def _face(self, seen: FaceSeen) -> Report:
        evidence = Evidence(
            score=seen.score,
            runner_up=seen.runner_up,
            threshold=seen.threshold,
            frames=seen.frames,
            model=seen.model,
            masked=seen.masked,
            liveness=seen.liveness,
            picture=seen.picture or None,
        )
        origin = f"{self.id}/{self._life}/{seen.track}/{seen.credential}"
        return Read(
            self._point,
            Method.FACE,
            seen.credential,
            origin,
            age_s=_age_s(seen.at),
            evidence=evidence,
            detail={
                "votes": seen.votes,
                "faces_in_view": seen.faces_in_view,
                "seen_ms": _ms(seen.first_at, seen.at),
            },
        )

    def _plate(self, seen: PlateSeen) -> Report:
        evidence = Evidence(
            score=seen.confidence,
            frames=seen.frames,
            model=seen.model,
            vehicle_present=seen.vehicle,
            picture=seen.picture or None,
        )
        origin = f"{self.id}/{self._life}/{seen.track}/{seen.text}"
        return Read(
            self._point,
            Method.PLATE,
            seen.text,
            origin,
            age_s=_age_s(seen.at),
            evidence=evidence,
            detail={
                "votes": seen.votes,
                "colour": seen.colour.value,
                "kind": seen.kind,
                "seen_ms": _ms(seen.first_at, seen.at),
            },
        )


def _age_s(at: datetime) -> float:
    """How long ago a frame was captured; worker and edge share one wall clock."""
    return max(0.0, (datetime.now(UTC) - at).total_seconds())


def _ms(start: datetime, end: datetime) -> int:
    return round((end - start).total_seconds() * 1000)
