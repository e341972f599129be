"""Who this node is: its id, token and sealing key, in a file only it can read."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from anlin import __version__
from anlin.core.codec import DataError, from_data, to_data
from anlin.core.sync import VERSIONS_SPOKEN, Enrol
from anlin.edge.uplink import enrol
from anlin.wire.keys import new_sealing_key, public_sealing_key


class IdentityError(Exception):
    """There is no usable identity; says what to do."""


@dataclass(frozen=True, slots=True)
class Identity:
    """An enrolled node."""

    node: str
    name: str
    community: str
    token: str
    sealing_key: str


def load(path: Path) -> Identity | None:
    """Read the identity, or None where the node was never enrolled.

    Raises:
        IdentityError: the file is there and is not an identity.
    """
    try:
        return from_data(Identity, json.loads(path.read_text()))
    except FileNotFoundError:
        return None
    except (DataError, ValueError) as error:
        raise IdentityError(f"{path}: {error}; enrol this node again") from error


async def enrol_node(path: Path, hub: str, code: str) -> Identity:
    """Enrol with a one-time code and keep what the hub gave, readable by this user alone.

    The key is kept before the hub is asked: where its answer is lost on the way, the same code
    with the same key gets another one.
    """
    kept = path.with_suffix(".key")
    try:
        key = kept.read_text().strip()
        public = public_sealing_key(key)
    except (FileNotFoundError, ValueError):
        key = new_sealing_key()
        public = public_sealing_key(key)
        _keep(kept, key)
    answer = await enrol(hub, Enrol(code, public, VERSIONS_SPOKEN, __version__))
    identity = Identity(answer.node, answer.name, answer.community, answer.token, key)
    _keep(path, json.dumps(to_data(identity)))
    kept.unlink(missing_ok=True)
    return identity


def _keep(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(".new")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
