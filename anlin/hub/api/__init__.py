"""The API at /api/v1: the same services as the pages, for programs."""

from __future__ import annotations

from anlin.hub.api.routes import api

__all__ = ["api"]
