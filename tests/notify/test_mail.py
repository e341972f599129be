"""Mail, against a small SMTP server on this machine that speaks STARTTLS."""

from __future__ import annotations

import base64
import socketserver
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from email import message_from_bytes
from email.header import decode_header, make_header
from pathlib import Path

import pytest

from anlin.notify.base import ChannelError, Message
from anlin.notify.mail.config import ConfigError, Security, Server, from_env
from anlin.notify.mail.transport import send
from anlin.notify.webpush.standin import contexts

MAIL = Message(
    to="lin@example.net",
    kind="notice",
    title="停水通知",
    text="今晚八点停水。",
    url="https://hub.example.net/home/notices",
    key="d_1",
)


@dataclass
class Post:
    """What the server is told to answer, and what it got."""

    tls: ssl.SSLContext
    offers_tls: bool = True
    on_rcpt: str = "250 OK"
    on_data: str = "250 OK"
    on_login: str = "235 OK"
    drops_after_mail: bool = False
    got: list[bytes] = field(default_factory=list)
    logins: list[str] = field(default_factory=list)
    was_closed: list[bool] = field(default_factory=list)
    port: int = 0


@pytest.fixture
def post(tmp_path: Path) -> Iterator[tuple[Post, Server]]:
    server_side, client_side = contexts(tmp_path, "localhost")
    ours = Post(server_side)

    class Talk(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            link, file, is_closed = self.request, self.request.makefile("rb"), False
            say = lambda text: link.sendall(text.encode() + b"\r\n")  # noqa: E731
            say("220 localhost")
            while line := file.readline():
                word = line.split()[0].upper() if line.split() else b""
                if word == b"EHLO":
                    more = "250-STARTTLS\r\n" if ours.offers_tls and not is_closed else ""
                    say(f"250-localhost\r\n{more}250-AUTH PLAIN\r\n250 8BITMIME")
                elif word == b"STARTTLS":
                    say("220 go on")
                    link = ours.tls.wrap_socket(link, server_side=True)
                    file, is_closed = link.makefile("rb"), True
                elif word == b"AUTH":
                    ours.logins.append(base64.b64decode(line.split()[2]).decode())
                    say(ours.on_login)
                elif word == b"RCPT":
                    say(ours.on_rcpt)
                elif word == b"DATA":
                    say("354 go on")
                    body = b""
                    while (row := file.readline()) not in (b".\r\n", b""):
                        body += row
                    if ours.drops_after_mail:
                        return
                    ours.got.append(body)
                    ours.was_closed.append(is_closed)
                    say(ours.on_data)
                elif word == b"QUIT":
                    say("221 bye")
                    return
                else:
                    say("250 OK")

    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Talk)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    ours.port = server.server_address[1]
    yield ours, Server("localhost", ours.port, "anlin@example.net", timeout_s=5, tls=client_side)
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_mail_goes_closed_and_can_be_read_at_the_other_end(post: tuple[Post, Server]) -> None:
    ours, server = post
    receipt = send(MAIL, replace(server, user="anlin", password="s3cret"))
    assert ours.was_closed == [True]
    assert ours.logins == ["\0anlin\0s3cret"]
    mail = message_from_bytes(ours.got[0])
    assert str(make_header(decode_header(mail["Subject"]))) == "停水通知"
    body = mail.get_payload(decode=True)
    assert isinstance(body, bytes)
    assert body.decode().split() == ["今晚八点停水。", MAIL.url]
    assert mail["Message-ID"] == receipt.reference
    assert mail["Auto-Submitted"] == "auto-generated"


def test_each_try_of_one_message_has_the_same_name(post: tuple[Post, Server]) -> None:
    _ours, server = post
    first, second = send(MAIL, server), send(MAIL, server)
    other = send(replace(MAIL, key="d_2"), server)
    assert first == second != other


def test_a_server_without_starttls_gets_neither_password_nor_mail(
    post: tuple[Post, Server],
) -> None:
    ours, server = post
    ours.offers_tls = False
    with pytest.raises(ChannelError, match="STARTTLS") as caught:
        send(MAIL, replace(server, user="anlin", password="s3cret"))
    assert caught.value.permanent
    assert not ours.logins
    assert not ours.got


def test_a_certificate_that_nobody_vouches_for_is_refused(post: tuple[Post, Server]) -> None:
    ours, server = post
    with pytest.raises(ChannelError, match="certificate") as caught:
        send(MAIL, replace(server, tls=None))
    assert caught.value.permanent
    assert not ours.got


@pytest.mark.parametrize(
    ("where", "answer", "permanent"),
    [
        ("on_rcpt", "550 no such person", True),
        ("on_rcpt", "451 later", False),
        ("on_data", "554 refused", True),
        ("on_data", "452 full", False),
        ("on_login", "535 wrong password", True),
        ("on_login", "454 later", False),
    ],
)
def test_answers_say_whether_trying_again_helps(
    post: tuple[Post, Server], where: str, answer: str, permanent: bool
) -> None:
    ours, server = post
    setattr(ours, where, answer)
    with pytest.raises(ChannelError, match=answer[:3]) as caught:
        send(MAIL, replace(server, user="anlin", password="s3cret"))
    assert caught.value.permanent is permanent
    assert "lin@example.net" not in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_a_server_that_hangs_up_or_is_away_is_worth_another_try(
    post: tuple[Post, Server],
) -> None:
    ours, server = post
    ours.drops_after_mail = True
    for config in (server, replace(server, port=1)):
        with pytest.raises(ChannelError) as caught:
            send(MAIL, config)
        assert not caught.value.permanent


@pytest.mark.parametrize(
    "to", ["", "lin", "lin@", "@example.net", "lin@example.net\r\nBcc: x@y.zz", "a b@example.net"]
)
def test_what_is_no_address_never_reaches_a_server(post: tuple[Post, Server], to: str) -> None:
    with pytest.raises(ChannelError, match="address") as caught:
        send(replace(MAIL, to=to), post[1])
    assert caught.value.permanent


def test_a_title_can_not_begin_another_header(post: tuple[Post, Server]) -> None:
    ours, server = post
    send(replace(MAIL, title="Water\r\nBcc: everybody@example.net"), server)
    assert message_from_bytes(ours.got[0])["Bcc"] is None


def test_the_server_is_read_from_the_environment() -> None:
    env = {"ANLIN_MAIL_HOST": "smtp.example.net", "ANLIN_MAIL_FROM": "anlin@example.net"}
    assert from_env({}) is None
    assert from_env(env) == Server("smtp.example.net", 587, "anlin@example.net")
    tls = from_env(env | {"ANLIN_MAIL_SECURITY": "tls"})
    assert tls is not None
    assert (tls.port, tls.security) == (465, Security.TLS)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"ANLIN_MAIL_FROM": ""}, "FROM"),
        ({"ANLIN_MAIL_FROM": "nobody"}, "FROM"),
        ({"ANLIN_MAIL_PORT": "0"}, "PORT"),
        ({"ANLIN_MAIL_PORT": "x"}, "PORT"),
        ({"ANLIN_MAIL_SECURITY": "maybe"}, "SECURITY"),
        ({"ANLIN_MAIL_SECURITY": "none"}, "SECURITY"),
        ({"ANLIN_MAIL_USER": "anlin"}, "USER"),
    ],
)
def test_each_wrong_setting_is_named(change: dict[str, str], field: str) -> None:
    env = {"ANLIN_MAIL_HOST": "smtp.example.net", "ANLIN_MAIL_FROM": "anlin@example.net"}
    with pytest.raises(ConfigError, match=f"ANLIN_MAIL_{field}"):
        from_env(env | change)
