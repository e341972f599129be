"""Web push, against a push service on this machine that opens and checks what it gets."""

from __future__ import annotations

import base64
import ipaddress
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from anlin.notify.base import ChannelError, Message
from anlin.notify.webpush.config import (
    Sender,
    Subscription,
    SubscriptionError,
    Urgency,
    check_endpoint,
    is_public,
    new_private_key,
    public_key,
    read_subscription,
)
from anlin.notify.webpush.standin import Browser, PushService, contexts, push_service
from anlin.notify.webpush.transport import MAX_PAYLOAD_BYTES, GoneError, payload, send, topic


@pytest.fixture
def service() -> Iterator[PushService]:
    with push_service() as ours:
        yield ours


@pytest.fixture
def sender(service: PushService) -> Sender:
    key = new_private_key()
    service.vapid_key = public_key(key)
    return Sender(key, "mailto:office@example.net", allows_local=True)


def message(service: PushService, browser: Browser, **more: Any) -> Message:
    to = read_subscription(browser.subscription(service.base), allows_local=True)
    given = {"title": "停水通知", "text": "今晚八点停水。", "url": "/home/notices", "key": "n_1"}
    return Message(to=to.as_text(), kind="notice", **(given | more))


def test_only_the_browser_reads_it_and_the_service_knows_who_signed(
    service: PushService, sender: Sender
) -> None:
    browser = service.browser()
    receipt = send(
        message(service, browser, values={"receipt": "r1"}),
        replace(sender, ttl_s=120, urgency=Urgency.HIGH),
    )
    assert browser.got == [
        {
            "title": "停水通知",
            "text": "今晚八点停水。",
            "url": "/home/notices",
            "tag": "n_1",
            "receipt": "r1",
        }
    ]
    headers = browser.headers[0]
    assert (headers["TTL"], headers["Urgency"], headers["Topic"]) == ("120", "high", topic("n_1"))
    assert headers["Content-Encoding"] == "aes128gcm"
    assert browser.claims[0]["sub"] == "mailto:office@example.net"
    assert browser.claims[0]["aud"] == service.base
    assert receipt.reference.startswith("/message/")


def test_another_key_is_refused_for_ever(service: PushService, sender: Sender) -> None:
    browser = service.browser()
    other = replace(sender, private_key=new_private_key())
    with pytest.raises(ChannelError, match="403") as caught:
        send(message(service, browser), other)
    assert caught.value.permanent
    assert service.refused == ["signed by another key"]


@pytest.mark.parametrize("status", [404, 410])
def test_a_subscription_that_is_gone_is_said_to_be_gone(
    service: PushService, sender: Sender, status: int
) -> None:
    browser = service.browser()
    browser.status = status
    with pytest.raises(GoneError) as caught:
        send(message(service, browser), sender)
    assert caught.value.permanent


@pytest.mark.parametrize(
    ("status", "permanent"), [(400, True), (413, True), (302, True), (429, False), (503, False)]
)
def test_other_answers_say_whether_trying_again_helps(
    service: PushService, sender: Sender, status: int, permanent: bool
) -> None:
    browser = service.browser()
    browser.status = status
    with pytest.raises(ChannelError, match=str(status)) as caught:
        send(message(service, browser), sender)
    assert caught.value.permanent is permanent
    assert not isinstance(caught.value, GoneError)


def test_nobody_listening_is_worth_another_try(sender: Sender) -> None:
    browser = Browser("/push/x")
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        base = f"http://127.0.0.1:{closed.getsockname()[1]}"
    to = read_subscription(browser.subscription(base), allows_local=True)
    with pytest.raises(ChannelError) as caught:
        send(Message(to.as_text(), "notice", "x"), sender)
    assert not caught.value.permanent


def test_a_service_that_never_answers_is_left(service: PushService, sender: Sender) -> None:
    service.hold = threading.Event()
    with pytest.raises(ChannelError, match="Timeout") as caught:
        send(message(service, service.browser()), replace(sender, timeout_s=0.2))
    assert not caught.value.permanent


@pytest.mark.parametrize("text", ["长" * 5000, '"\\' * 5000, "\U0001f6d7" * 3000])
def test_a_long_text_is_cut_to_what_a_push_service_takes(
    service: PushService, sender: Sender, text: str
) -> None:
    browser = service.browser()
    send(message(service, browser, text=text), sender)
    shown = browser.got[0]["text"]
    assert shown.endswith("…")
    assert text.startswith(shown[:-1])
    assert len(payload(message(service, browser, text=text))) <= MAX_PAYLOAD_BYTES


TRAPS = [
    "http://push.example.com/x",
    "https://127.0.0.1/x",
    "https://localhost/x",
    "https://hub.localhost/x",
    "https://10.1.2.3/x",
    "https://192.168.1.1/admin",
    "https://172.16.0.1/x",
    "https://169.254.169.254/latest/meta-data",
    "https://100.64.0.1/x",
    "https://0.0.0.0/x",
    "https://[::1]/x",
    "https://[::ffff:127.0.0.1]/x",
    "https://[fd00::1]/x",
    "https://[fe80::1]/x",
    "https://[64:ff9b::7f00:1]/x",
    "https://[2002:7f00:1::]/x",
    "https://2130706433/x",
    "https://0x7f.1/x",
    "https://127.1/x",
    "https://intranet/x",
    "https://printer.local/x",
    "https://push.example.com:22/x",
    "https://user@push.example.com/x",
    "https://user:secret@push.example.com/x",
    "https://push.example.com/x#y",
    "https://push.example.com/ x",
    "https://push.example.com/x\r\nHost: a",
    "https://push.example.com\\@127.0.0.1/x",
    "file:///etc/passwd",
    "gopher://push.example.com/x",
    "//push.example.com/x",
    "https://",
    "https://[::1/x",
    "https://push.example.com:99999/x",
    "",
]


@pytest.mark.parametrize("endpoint", TRAPS)
def test_an_endpoint_that_leads_elsewhere_is_refused(endpoint: str) -> None:
    browser = Browser("/x")
    with pytest.raises(SubscriptionError, match="endpoint"):
        read_subscription(browser.subscription("") | {"endpoint": endpoint})


@pytest.mark.parametrize(
    "endpoint",
    [
        "https://fcm.googleapis.com/fcm/send/abc:def",
        "https://updates.push.services.mozilla.com/wpush/v2/gAAA",
        "https://web.push.apple.com/QGuQ",
        "https://wns2-par02p.notify.windows.com/w/?token=BQ%3d",
    ],
)
def test_the_endpoints_of_browsers_are_taken(endpoint: str) -> None:
    check_endpoint(endpoint)


def test_a_name_that_leads_inside_is_refused_when_it_is_resolved(
    service: PushService, sender: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    def inside(*_: Any, **__: Any) -> list[tuple[Any, ...]]:
        public = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("8.8.8.8", 443))
        return [public, (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("10.0.0.5", 443))]

    monkeypatch.setattr(socket, "getaddrinfo", inside)
    subscription = Browser("/x").subscription("https://push.example.com")
    to = read_subscription(subscription).as_text()
    with pytest.raises(ChannelError, match="leads inside") as caught:
        send(Message(to, "notice", "x"), replace(sender, allows_local=False))
    assert caught.value.permanent


def test_the_address_that_was_judged_is_the_one_that_is_called(
    tmp_path: Path, sender: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name is asked for once; the certificate is still held against the name."""
    server, client = contexts(tmp_path, "push.example.com")
    real = socket.getaddrinfo
    asked: list[str] = []

    def once(host: str, *rest: Any, **more: Any) -> Any:
        if host == "push.example.com":
            asked.append(host)
            assert len(asked) == 1
            return real("127.0.0.1", *rest, **more)
        return real(host, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", once)
    with push_service(server, "push.example.com") as service:
        service.vapid_key = public_key(sender.private_key)
        browser = service.browser()
        send(message(service, browser), replace(sender, tls=client))
        assert browser.got
        assert browser.headers[0]["Host"] == service.base.removeprefix("https://")


def test_a_certificate_for_another_name_is_refused(tmp_path: Path, sender: Sender) -> None:
    server, client = contexts(tmp_path, "push.example.com")
    with push_service(server) as service:
        browser = service.browser()
        with pytest.raises(ChannelError) as caught:
            send(message(service, browser), replace(sender, tls=client))
        assert not caught.value.permanent
        assert not browser.got


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"endpoint": 5}, "endpoint"),
        ({"endpoint": "https://push.example.com/" + "x" * 1000}, "endpoint"),
        ({"keys": None}, "keys"),
        ({"keys": {"auth": "AAAAAAAAAAAAAAAAAAAAAA"}}, "p256dh"),
        ({"keys": {"p256dh": "A" * 87, "auth": "AAAAAAAAAAAAAAAAAAAAAA"}}, "p256dh"),
        ({"keys": {"p256dh": "AAAA", "auth": "AAAAAAAAAAAAAAAAAAAAAA"}}, "p256dh"),
        ({"keys": {"p256dh": "*" * 87, "auth": "AAAAAAAAAAAAAAAAAAAAAA"}}, "p256dh"),
    ],
)
def test_each_wrong_field_of_a_subscription_is_named(change: dict[str, Any], field: str) -> None:
    good = Browser("/x").subscription("https://push.example.com")
    with pytest.raises(SubscriptionError, match=f"^{field}: "):
        read_subscription(good | change)


def test_a_short_authentication_secret_is_refused() -> None:
    good = Browser("/x").subscription("https://push.example.com")
    good["keys"]["auth"] = base64.urlsafe_b64encode(b"short").decode()
    with pytest.raises(SubscriptionError, match=r"^auth: "):
        read_subscription(good)


@pytest.mark.parametrize("data", [None, [], "text", 7, {}])
def test_what_is_no_subscription_is_refused(data: object) -> None:
    with pytest.raises(SubscriptionError):
        read_subscription(data)


def test_secrets_stay_out_of_what_is_printed(sender: Sender) -> None:
    to = Subscription("https://push.example.com/secret", "p", "a")
    assert "secret" not in repr(to)
    assert "PRIVATE" not in repr(sender)


@pytest.mark.parametrize(
    ("number", "public"),
    [("8.8.8.8", True), ("2606:4700::1111", True), ("224.0.0.1", False), ("::", False)],
)
def test_a_public_address_is_one_that_others_can_reach(number: str, public: bool) -> None:
    assert is_public(ipaddress.ip_address(number)) is public
