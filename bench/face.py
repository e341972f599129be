"""A face before a camera until the gate is released: 1,000 enrolled, one core, both tiers.

From one photograph enrolled and another one shown. Where there are fewer than a thousand people
with photographs, the gallery is filled up with vectors spread as theirs are.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import time
from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from anlin.core.detection import Task
from anlin.core.entities import Credential, Method, Template
from anlin.sim.camera import GATE_SIZE, Camera
from anlin.sim.faces import Person, people
from anlin.vision.enrol import EnrolError, decode
from anlin.vision.faces import DlibHog, DlibResnet, FaceKit, load_faces, unit
from anlin.vision.gallery import Gallery
from anlin.wire.keys import new_sealing_key, public_sealing_key, seal
from bench.report import Figure, Skipped, quantile, say
from bench.rig.passages import ENROLLED, Opening, Passer, cores, figures, measure, models_folder
from bench.rig.processes import folder

REAL, PASSAGES = 150, 40
"""People enrolled from photographs, and how many of them pass."""

FRAMES = 60

TARGET_MS = 500.0


def run() -> Iterator[Figure]:
    """Judge single frames, then let the same people pass both lanes in turn."""
    first, _ = cores()
    os.sched_setaffinity(0, {first})
    cv2.setNumThreads(1)
    persons = list(itertools.islice(people(), REAL))
    if not persons:
        raise Skipped("no photographs: neither ANLIN_SHARED nor the packages of the extra 'demo'")
    say(f"  {len(persons)} people with photographs")
    kits = [FaceKit(1, DlibHog(), DlibResnet())]
    if (models := models_folder()) is not None:
        os.environ["ANLIN_MODELS"] = str(models)
        kits.insert(0, load_faces())
    yield from _single_frames(kits, persons)
    openings = []
    for kit in kits:
        say(f"  enrolling with tier {kit.tier}")
        key = new_sealing_key()
        credentials, templates = _enrol(kit, persons, public_sealing_key(key))
        openings.append(Opening(kit.tier, Task.FACES, GATE_SIZE, credentials, templates, key))
    passers = itertools.cycle(Passer(person.name, person.seen) for person in persons)
    with folder("face") as home:
        lanes = asyncio.run(measure(home, openings, itertools.islice(passers, PASSAGES)))
    yield from figures("face", lanes, TARGET_MS)


def _single_frames(kits: list[FaceKit], persons: list[Person]) -> Iterator[Figure]:
    """Time what one frame costs: find, compare, test for life, search a thousand."""
    camera = Camera(GATE_SIZE)
    galleries = {kit.tier: _full_gallery(kit) for kit in kits}
    spent_ms: dict[int, list[float]] = {kit.tier: [] for kit in kits}
    for person in persons[:FRAMES]:
        camera.show(person.seen, 60.0)
        image = np.ascontiguousarray(camera.draw()[:, :, ::-1])
        for kit in kits:
            began = time.perf_counter()
            for face in kit.detector.detect(image)[:1]:
                vector = kit.embedder.embed(image, face)
                galleries[kit.tier].match(vector)
                if kit.mask is not None:
                    kit.mask.masked(image, face)
                if kit.live is not None:
                    kit.live.alive(image, face)
            spent_ms[kit.tier].append((time.perf_counter() - began) * 1000)
    best, *others = (spent_ms[kit.tier] for kit in kits)
    for label, share in (("p50", 0.5), ("p95", 0.95)):
        peer = ("tier 1", quantile(others[0], share)) if others else (None, None)
        yield Figure(f"face.frame.{label}", quantile(best, share), "ms", len(best), None, *peer)


def _full_gallery(kit: FaceKit) -> Gallery:
    rng = np.random.default_rng(2)
    gallery = Gallery(kit.embedder.model, kit.embedder.size)
    for number in range(ENROLLED):
        vector = rng.standard_normal(kit.embedder.size).astype(np.float32)
        gallery.add(f"c{number}", f"h{number}", _half(unit(vector)))
    return gallery


def _enrol(
    kit: FaceKit, persons: list[Person], public_key: str
) -> tuple[list[Credential], list[Template]]:
    """Seal a template of each person, and of as many who are nobody."""
    vectors = {}
    for person in persons:
        try:
            image = decode(person.enrolled)
        except EnrolError:
            continue
        found = kit.detector.detect(image)
        if found:
            vectors[person.name] = kit.embedder.embed(image, found[0])
    known = np.stack(list(vectors.values()))
    rng = np.random.default_rng(1)
    for number in range(len(vectors), ENROLLED):
        spread = rng.standard_normal(known.shape[1]) * (known.std(0) if len(known) > 2 else 0.06)
        vectors[f"nobody-{number}"] = unit((known.mean(0) + spread).astype(np.float32))
    credentials, templates = [], []
    for holder, vector in vectors.items():
        credential = f"face-{holder.replace(' ', '-')}"
        context = f"{credential}/{kit.embedder.model}"
        sealed = seal(public_key, _half(vector), context)
        credentials.append(Credential(credential, holder, Method.FACE, credential))
        templates.append(Template(credential, holder, kit.embedder.model, sealed))
    return credentials, templates


def _half(vector: NDArray[np.float32]) -> bytes:
    return vector.astype("<f2").tobytes()
