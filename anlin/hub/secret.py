"""The hub's secret: made at the first start, readable by its owner only, never shipped."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path


def load_or_make(path: Path) -> str:
    """Give the secret kept at `path`; make it where there is none.

    Several processes may start at once: the file is written aside and linked into place, so
    that the first one wins and all of them read the same whole secret.
    """
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        aside = path.with_name(f"{path.name}.{os.getpid()}")
        descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(48))
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(aside, path)
        aside.unlink()
    return path.read_text().strip()
