"""Ways out that run on this machine: a push service, an SMS gateway."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from pytest_django import Settings

from anlin.hub.notices import devices
from anlin.hub.resident.tests import conftest as resident
from anlin.notify.webpush.standin import PushService, push_service

world = resident.world
street = resident.street
_catalogues = resident._catalogues


@pytest.fixture
def service(db: None, settings: Settings) -> Iterator[PushService]:
    settings.PUSH_ALLOWS_LOCAL = True
    with push_service() as ours:
        ours.vapid_key = devices.browser_key()
        yield ours


@dataclass
class Gateway:
    """An SMS gateway that remembers what it took."""

    url: str = ""
    status: int = 200
    got: list[dict[str, str]] = field(default_factory=list)
    hold: threading.Event | None = None
    arrived: threading.Event = field(default_factory=threading.Event)


@pytest.fixture
def gateway(settings: Settings, tmp_path: Path) -> Iterator[Gateway]:
    ours = Gateway()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if ours.status == 200:
                ours.got.append(body)
            ours.arrived.set()
            if ours.hold is not None:
                ours.hold.wait(30)
            try:
                self.send_response(ours.status)
                self.send_header("Content-Length", "0")
                self.end_headers()
            except OSError:
                self.close_connection = True

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    ours.url = f"http://127.0.0.1:{server.server_port}/send"
    config = tmp_path / "sms.toml"
    config.write_text(f'url = "{ours.url}"\n[body]\nto = "{{to}}"\ntext = "{{text}}"\n', "utf-8")
    settings.SMS_MODE, settings.SMS_CONFIG = "gateway", str(config)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield ours
    if ours.hold is not None:
        ours.hold.set()
    server.shutdown()
    server.server_close()
    thread.join()
