from __future__ import annotations

from anlin.hub.console.tests.conftest import _catalogues, sign_in, world  # noqa: F401
