"""The floor under the uplink: a hub that reads a batch as JSON and keeps nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Answer a batch as committed."""
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    seq = json.loads(body)["events"][-1]["seq"] if body else 0
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps({"seq": seq, "refused": []}).encode()]
