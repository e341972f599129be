"""The live process: event rows for consoles and the down-stream for edges.

    python -m anlin.hub.live --port 8001

Streams stay open for days and cost a coroutine each; pages are answered elsewhere, by
`anlin.hub.wsgi`. So this is a plain ASGI application: three addresses, no middleware.
"""

from __future__ import annotations

import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "anlin.hub.settings")
django.setup(set_prefix=False)

from anlin.hub.live.app import application  # noqa: E402  models need django.setup

__all__ = ["application"]
