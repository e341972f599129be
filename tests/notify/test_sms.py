"""The SMS gateway, spoken to over a real socket."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from anlin.notify.base import ChannelError, Message
from anlin.notify.sms.config import ConfigError, Console, Gateway, from_data, read
from anlin.notify.sms.transport import MAX_ANSWER_BYTES, send

MESSAGE = Message(
    to="13800000001",
    kind="log_in_code",
    text="Your code is 123456.",
    values={"code": "123456", "minutes": "5"},
    key="pc_1",
)


@dataclass
class Peer:
    """A gateway on this machine: keeps what it got and answers what it is told to."""

    url: str = ""
    status: int = 200
    answer: bytes = b'{"Code": "OK", "Sent": [{"BizId": 42}]}'
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)


@pytest.fixture
def peer() -> Iterator[Peer]:
    ours = Peer()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            ours.got.append((dict(self.headers), body))
            self.send_response(ours.status)
            self.send_header("Location", "http://127.0.0.1:1/")
            self.send_header("Content-Length", str(len(ours.answer)))
            self.end_headers()
            self.wfile.write(ours.answer)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    ours.url = f"http://127.0.0.1:{server.server_port}/send"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield ours
    server.shutdown()
    thread.join()
    server.server_close()


def gateway(peer: Peer, **more: Any) -> Gateway:
    data: dict[str, Any] = {
        "url": peer.url,
        "headers": {"Authorization": "Bearer {secret}"},
        "body": {"mobile": "{to}", "template": "{template}", "params": {"code": "{code}"}},
        "templates": {"log_in_code": "SMS_1"},
        "taken": {"field": "Code", "equals": "OK", "reference": "Sent.0.BizId"},
    } | more
    return from_data(data, "s3cret")


def test_the_gateway_gets_the_template_with_its_blanks_filled_and_the_secret(peer: Peer) -> None:
    assert send(MESSAGE, gateway(peer)).reference == "42"
    [(headers, body)] = peer.got
    assert headers["Authorization"] == "Bearer s3cret"
    assert json.loads(body) == {
        "mobile": "13800000001",
        "template": "SMS_1",
        "params": {"code": "123456"},
    }


def test_a_form_is_sent_where_the_gateway_takes_one(peer: Peer) -> None:
    send(MESSAGE, gateway(peer, format="form", body={"to": "{to}", "text": "{text}"}, taken={}))
    assert parse_qs(peer.got[0][1].decode()) == {
        "to": ["13800000001"],
        "text": ["Your code is 123456."],
    }


@pytest.mark.parametrize(
    ("status", "answer", "permanent", "rule"),
    [
        (403, b"", True, "answered 403"),
        (302, b"", True, "answered 302"),
        (429, b"", False, "answered 429"),
        (503, b"", False, "answered 503"),
        (200, b'{"Code": "NO_CREDIT"}', True, "Code is 'NO_CREDIT'"),
        (200, b"[]", True, "Code is 'None'"),
        (200, b"<html>", False, "not JSON"),
        (200, b" " * (MAX_ANSWER_BYTES + 1), False, "bytes"),
    ],
)
def test_what_was_not_taken_is_an_error_that_says_whether_to_try_again(
    peer: Peer, status: int, answer: bytes, permanent: bool, rule: str
) -> None:
    peer.status, peer.answer = status, answer
    with pytest.raises(ChannelError, match=rule) as refused:
        send(MESSAGE, gateway(peer))
    assert refused.value.permanent is permanent
    for secret in ("s3cret", "123456", "13800000001"):
        assert secret not in str(refused.value)


def test_a_gateway_that_is_away_is_tried_again(peer: Peer) -> None:
    away = gateway(peer, url="http://127.0.0.1:1/")
    with pytest.raises(ChannelError, match="ConnectError") as refused:
        send(MESSAGE, away)
    assert not refused.value.permanent


@pytest.mark.parametrize("to", ["", "abc", "1380000;1", "0" * 16])
def test_what_is_no_number_never_reaches_the_gateway(peer: Peer, to: str) -> None:
    with pytest.raises(ChannelError, match="number") as refused:
        send(Message(to=to, kind="x", text="x"), gateway(peer))
    assert refused.value.permanent
    assert peer.got == []


def test_a_blank_that_no_message_has_is_named(peer: Peer) -> None:
    with pytest.raises(ChannelError, match=r"\{sign\}"):
        send(MESSAGE, gateway(peer, body={"s": "{sign}"}))


def test_the_console_writes_the_code_into_the_log_with_the_tail_of_the_number(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING):
        send(MESSAGE, Console())
    assert "123456" in caplog.text
    assert "0001" in caplog.text
    assert "13800000001" not in caplog.text


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"url": "ftp://x"}, "url"),
        ({"url": "http://sms.example.net/"}, "openly"),
        ({"url": 1}, "url"),
        ({"format": "xml"}, "format"),
        ({"body": {}}, "body"),
        ({"format": "form", "body": {"a": {"b": "c"}}}, "texts"),
        ({"headers": {"a": 1}}, "headers"),
        ({"taken": {"what": "x"}}, "taken"),
        ({"colour": "red"}, "unknown fields: colour"),
    ],
)
def test_a_configuration_that_breaks_a_rule_is_named(change: dict[str, Any], rule: str) -> None:
    good = {"url": "https://sms.example.net/", "body": {"to": "{to}"}}
    with pytest.raises(ConfigError, match=rule):
        from_data(good | change)


def test_the_file_is_read_and_the_secret_shows_nowhere(tmp_path: Path) -> None:
    path = tmp_path / "sms.toml"
    path.write_text('url = "https://sms.example.net/"\n[body]\nto = "{to}"\n')
    assert "s3cret" not in repr(read(path, "s3cret"))
    path.write_text("url = ")
    with pytest.raises(ConfigError, match="not TOML"):
        read(path)
    with pytest.raises(ConfigError, match=r"sms\.toml"):
        read(tmp_path / "none" / "sms.toml")
