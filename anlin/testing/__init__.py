"""The test kit that travels with the package."""

from __future__ import annotations

import os
from pathlib import Path


def shared_folder() -> Path | None:
    """Return the folder of labelled photographs, or None: ANLIN_SHARED, else beside the checkout.

    The photographs are of real people; a test reads them there and keeps none.
    """
    given = os.environ.get("ANLIN_SHARED")
    folder = Path(given) if given else Path(__file__).resolve().parents[3] / "shared"
    return folder if folder.is_dir() else None
