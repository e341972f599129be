"""What the simulator keeps of its community between starts: ids, cards, device passwords."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from anlin.core.codec import from_data, to_data

NODE_FOLDER = "edge-1"
FACES = {"north": "face-north", "south": "face-south"}
LANE_CAMERA = "plate-lane"


@dataclass(frozen=True, slots=True)
class Controller:
    """A gate controller: its device id, its password at the broker, and its access points."""

    id: str
    password: str
    point_in: str
    point_out: str
    portal: str


@dataclass(frozen=True, slots=True)
class Resident:
    """Somebody of the community who comes to the gate in the simulation."""

    holder: str
    name: str
    card: str
    building: str = ""


@dataclass(frozen=True, slots=True)
class Town:
    """The seeded community, by the names that the story uses."""

    community: str
    node: str
    controllers: dict[str, Controller]
    cameras: dict[str, str]
    cast: dict[str, Resident]
    plate: str
    others: tuple[Resident, ...] = ()
    pin: str = ""
    """Of Wang."""


def load(home: Path) -> Town | None:
    """Read what was kept, or None where no community was seeded yet."""
    try:
        return from_data(Town, json.loads(_path(home).read_text()))
    except FileNotFoundError:
        return None


def save(home: Path, town: Town) -> None:
    """Keep it, readable by this user alone: it holds passwords of devices."""
    path = _path(home)
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(".new")
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump(to_data(town), file, ensure_ascii=False)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)


def load_faces(home: Path) -> dict[str, str]:
    """Read who comes by face: holder id to the person of the pictures; "" is the stranger."""
    try:
        found: dict[str, str] = json.loads((home / "sim" / "faces.json").read_text())
    except FileNotFoundError:
        return {}
    return found


def save_faces(home: Path, faces: dict[str, str]) -> None:
    """Keep who comes by face."""
    (home / "sim" / "faces.json").write_text(json.dumps(faces, ensure_ascii=False))


def _path(home: Path) -> Path:
    return home / "sim" / "town.json"
