"""One camera: `python -m anlin.vision.worker` reads commands on stdin, reports on stdout.

The protocol is `anlin.core.detection`. A bad camera never ends the worker: it says so and tries
again, more and more slowly. The worker ends when its standard input does.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import BinaryIO

import cv2

from anlin.core.codec import DataError
from anlin.core.detection import (
    MAX_LINE_BYTES,
    CameraState,
    Configure,
    FromWorker,
    GalleryAdd,
    GalleryRemove,
    Message,
    Task,
    WorkerReady,
    WorkerState,
    from_line,
    to_line,
)
from anlin.vision.faces import ThresholdError, load_faces
from anlin.vision.log import log, log_to_stderr
from anlin.vision.models import ModelError
from anlin.vision.plates import load_plates
from anlin.vision.sources import Frame, SourceError, SourceFault, frames, redact
from anlin.vision.watch import FaceWatch, MotionGate, PlateWatch, SharedGallery, Watch

STATE_EVERY = timedelta(seconds=10)
"""Sign of life: the edge takes a camera for lost after three of them."""
RETRY_FIRST_S, RETRY_MAX_S = 1.0, 15.0
"""A camera that reboots is back within a minute; asking every 15 seconds finds it soon enough."""
LOOK_ON = timedelta(seconds=1.5)
"""How long frames are looked at after the last motion: longer than a track takes to be lost."""
COVERED_AFTER = timedelta(seconds=3)

Emit = Callable[[FromWorker], None]


class Worker:
    """Watches one source until told to stop."""

    def __init__(
        self, configure: Configure, watch: Watch, gallery: SharedGallery | None, emit: Emit
    ) -> None:
        self.stop = threading.Event()
        self._configure = configure
        self._watch = watch
        self._gallery = gallery
        self._emit = emit
        self._gate = MotionGate()
        self._state: CameraState | None = None
        self._said_at = datetime.min.replace(tzinfo=UTC)
        self._looked_at: datetime | None = None
        self._moved_at: datetime | None = None
        self._blank_since: datetime | None = None
        self._frames = 0
        self._said_frames = 0

    def apply(self, message: Message) -> None:
        """Take a command of the edge; called from the thread that reads them."""
        if self._gallery is None:
            return
        if isinstance(message, GalleryAdd):
            self._gallery.add(message)
        elif isinstance(message, GalleryRemove):
            self._gallery.remove(message.credentials)

    def run(self) -> None:
        """Watch until `stop` is set; reconnect for ever."""
        wait_s = RETRY_FIRST_S
        source = self._configure.source
        while not self.stop.is_set():
            seen = self._frames
            try:
                for frame in frames(source, self.stop):
                    self.step(frame)
            except SourceError as error:
                log.warning("the source gives no frames", reason=str(error))
                played = error.fault is SourceFault.ENDED
                state = CameraState.STALLED if played else CameraState(error.fault)
                self._say(state, datetime.now(UTC), str(error))
                if played and "://" not in source:
                    self.stop.wait()
            # Short-lived streams back off too; one that gave frames for a while starts afresh.
            wait_s = RETRY_FIRST_S if self._frames - seen > 100 else min(2 * wait_s, RETRY_MAX_S)
            self.stop.wait(wait_s)

    def step(self, frame: Frame) -> bool:
        """Take in one frame; return whether it was looked at."""
        at = frame.at
        undecided = self._watch.undecided(at)
        # Someone waits for an answer: look twice as often.
        every_s = (0.5 if undecided else 1.0) / self._configure.fps
        if self._looked_at and (at - self._looked_at).total_seconds() < 0.9 * every_s:
            return False
        self._looked_at = at
        self._frames += 1
        if self._gate.moved(frame.image):
            self._moved_at = at
        self._judge_view(at)
        if self._state is CameraState.COVERED:
            return False
        if not undecided and (self._moved_at is None or at - self._moved_at > LOOK_ON):
            self._watch.hold(at)
            return False
        for seen in self._watch.look(frame):
            self._emit(seen)
        return True

    def _judge_view(self, at: datetime) -> None:
        self._blank_since = (self._blank_since or at) if self._gate.blank else None
        if self._blank_since and at - self._blank_since >= COVERED_AFTER:
            self._say(CameraState.COVERED, at, "frames come, but they show nothing")
        else:
            self._say(CameraState.ONLINE, at)

    def _say(self, state: CameraState, at: datetime, detail: str = "") -> None:
        if state is self._state and at - self._said_at < STATE_EVERY:
            return
        since_s = (at - self._said_at).total_seconds()
        fps = (self._frames - self._said_frames) / since_s if since_s > 0 else 0.0
        self._said_frames = self._frames
        self._state, self._said_at = state, at
        gallery = self._gallery
        self._emit(
            WorkerState(
                self._configure.camera,
                state,
                detail,
                round(fps, 1),
                0 if gallery is None else len(gallery),
                0 if gallery is None else gallery.ignored,
            )
        )


def build(configure: Configure, emit: Emit) -> Worker:
    """Load the models of a task and say that they are ready.

    Raises:
        ModelError: not even the packages' models are installed.
    """
    gallery: SharedGallery | None = None
    watch: Watch
    if configure.task is Task.FACES:
        kit = load_faces(with_liveness=configure.liveness)
        gallery = SharedGallery(kit.embedder.model, kit.embedder.size)
        try:
            watch = FaceWatch(configure, kit, gallery)
        except ThresholdError as error:
            log.error("the model's own threshold is used", reason=str(error))
            watch = FaceWatch(replace(configure, threshold=None), kit, gallery)
    else:
        watch = PlateWatch(configure, load_plates())
    worker = Worker(configure, watch, gallery, emit)
    emit(WorkerReady(configure.camera, watch.tier, watch.models, watch.threshold))
    return worker


def next_message(stream: BinaryIO) -> Message | None:
    """Return the next command; None at the end. Lines that are none are logged and passed over."""
    while line := stream.readline(MAX_LINE_BYTES + 1):
        try:
            return from_line(line)
        except DataError as error:
            while line and not line.endswith(b"\n"):
                line = stream.readline(MAX_LINE_BYTES)
            log.error("a command was not understood", reason=str(error)[:200])
    return None


def check(configure: Configure) -> Configure:
    """Return the settings with every number within what makes sense."""
    return replace(
        configure,
        fps=min(max(configure.fps, 0.2), 30.0),
        votes=min(max(configure.votes, 1), 10),
        margin=min(max(configure.margin, 0.0), 0.5),
    )


def main() -> int:
    """Run one worker; return its exit status."""
    # Ctrl-C reaches the whole group; the edge ends us in order by closing our input.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    log_to_stderr()
    cv2.setNumThreads(1)
    # A library that prints must not break the protocol.
    voice = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)

    first = next_message(sys.stdin.buffer)
    while first is not None and not isinstance(first, Configure):
        log.error("a command before configure was dropped")
        first = next_message(sys.stdin.buffer)
    if first is None:
        return 0
    configure = check(first)

    def emit(message: FromWorker) -> None:
        voice.write(to_line(message))
        voice.flush()

    try:
        worker = build(configure, emit)
    except ModelError as error:
        log.error("no model for this task", reason=str(error))
        return 3
    log.info(
        "watching", camera=configure.camera, source=redact(configure.source), task=configure.task
    )

    def obey() -> None:
        while (message := next_message(sys.stdin.buffer)) is not None:
            worker.apply(message)
        worker.stop.set()

    threading.Thread(target=obey, name="commands", daemon=True).start()
    try:
        worker.run()
    except BrokenPipeError:
        return 0  # the edge is gone
    return 0


if __name__ == "__main__":
    sys.exit(main())
