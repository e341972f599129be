from __future__ import annotations

from anlin.hub.console.tests.conftest import _catalogues, sign_in, world

__all__ = ["_catalogues", "sign_in", "world"]
