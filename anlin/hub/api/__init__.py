"""The API at /api/v1: the same services as the pages, for programs."""

from __future__ import annotations

from anlin.hub.api.routes import api
from anlin.hub.api.setup_routes import router

api.add_router("", router)

__all__ = ["api"]
