"""Hand one message to a browser's push service: encrypted for that browser, signed by us.

The payload is JSON: title, text, url, and the tag by which a repeated message replaces itself.
"""

from __future__ import annotations

import base64
import hashlib
import ipaddress
import json
import socket
import time
from urllib.parse import urlsplit

import httpx
from py_vapid import Vapid02, VapidException
from pywebpush import WebPusher, WebPushException

from anlin.notify.base import ChannelError, Message, Receipt
from anlin.notify.webpush.config import (
    MAX_TTL_S,
    Sender,
    Subscription,
    SubscriptionError,
    is_public,
    read_subscription,
)

MAX_PAYLOAD_BYTES = 3000
"""A push service takes 4096 bytes with header and padding (RFC 8030 7.2, RFC 8291 4); this fits."""
MAX_TITLE_CHARS = 120

SIGNED_FOR_S = 12 * 3600
"""At most 24 hours (RFC 8292 section 2); half of it leaves room for a clock that is off."""

_GONE = frozenset({404, 410})
_AGAIN = frozenset({408, 425, 429})
"""Answers of the 4xx family that another try may change."""


class GoneError(ChannelError):
    """The browser has given up this subscription: it is to be forgotten."""

    def __init__(self, text: str) -> None:
        super().__init__(text, permanent=True)


def send(message: Message, config: Sender) -> Receipt:
    """Send to one device; `message.to` is its subscription as JSON.

    Raises:
        GoneError: there is no such subscription any more.
        ChannelError: not taken.
    """
    try:
        to = read_subscription(_data(message.to), allows_local=config.allows_local)
    except SubscriptionError as error:
        raise ChannelError(f"web push: {error}", permanent=True) from error
    body = _encrypted(payload(message), to)
    headers = _headers(message, to, config)
    host = str(urlsplit(to.endpoint).hostname)
    address = _resolved(to.endpoint, allows_local=config.allows_local)
    # The connection goes to the very address that was judged; asked again, a name may say another.
    url = httpx.URL(to.endpoint)
    headers["Host"] = url.netloc.decode("ascii")
    try:
        with (
            httpx.Client(
                timeout=config.timeout_s,
                follow_redirects=False,
                trust_env=False,
                verify=config.tls or True,
            ) as client,
            client.stream(
                "POST",
                url.copy_with(host=address),
                headers=headers,
                content=body,
                extensions={"sni_hostname": host},
            ) as answer,
        ):
            return _judged(answer)
    except httpx.HTTPError as error:
        raise ChannelError(
            f"web push: the push service: {type(error).__name__}", permanent=False
        ) from error


def payload(message: Message) -> bytes:
    """Give what the device gets; a text that is too long ends in an ellipsis."""
    text = message.text
    while True:
        shown = text if text == message.text else f"{text}…"
        data = {
            "title": message.title[:MAX_TITLE_CHARS],
            "text": shown,
            "url": message.url,
            "tag": message.key,
            **({"receipt": message.values["receipt"]} if "receipt" in message.values else {}),
        }
        body = json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode()
        if len(body) <= MAX_PAYLOAD_BYTES:
            return body
        if not text:
            raise ChannelError("web push: the address in the message is too long", permanent=True)
        text = text[: len(text) * 3 // 4]


def _encrypted(plain: bytes, to: Subscription) -> bytes:
    """Encrypt for one browser (RFC 8291, aes128gcm)."""
    keys = {"p256dh": to.p256dh, "auth": to.auth}
    try:
        encoded = WebPusher({"endpoint": to.endpoint, "keys": keys}).encode(plain)
    except (WebPushException, ValueError) as error:
        raise ChannelError("web push: the keys can't be used", permanent=True) from error
    return bytes(encoded["body"])


def _headers(message: Message, to: Subscription, config: Sender) -> dict[str, str]:
    parts = urlsplit(to.endpoint)
    claims = {
        "aud": f"{parts.scheme}://{parts.netloc}",
        "exp": int(time.time()) + SIGNED_FOR_S,
        "sub": config.contact,
    }
    try:
        signed = Vapid02.from_pem(config.private_key.encode()).sign(claims)
    except (VapidException, ValueError) as error:
        raise ChannelError(f"web push: can't sign: {type(error).__name__}", permanent=True) from (
            error
        )
    headers = {
        "Authorization": str(signed["Authorization"]),
        "Content-Encoding": "aes128gcm",
        "Content-Type": "application/octet-stream",
        "TTL": str(max(0, min(config.ttl_s, MAX_TTL_S))),
        "Urgency": config.urgency.value,
    }
    if message.key:
        headers["Topic"] = topic(message.key)
    return headers


def topic(key: str) -> str:
    """Give the name under which a waiting message is replaced by its own repeat (RFC 8030 5.4)."""
    digest = hashlib.sha256(key.encode()).digest()[:24]
    return base64.urlsafe_b64encode(digest).decode()


def _resolved(endpoint: str, *, allows_local: bool) -> str:
    """Give a public address of the push service.

    Every address that the name has must be public: one inside is a trap, whoever laid it.
    """
    parts = urlsplit(endpoint)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        found = socket.getaddrinfo(parts.hostname, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise ChannelError("web push: the push service's name is not found", permanent=False) from (
            error
        )
    addresses = [str(one[4][0]).split("%")[0] for one in found]
    if not addresses:
        raise ChannelError("web push: the push service's name is not found", permanent=False)
    if not allows_local and not all(is_public(ipaddress.ip_address(one)) for one in addresses):
        raise ChannelError("web push: the push service's name leads inside", permanent=True)
    return addresses[0]


def _judged(answer: httpx.Response) -> Receipt:
    status = answer.status_code
    if 200 <= status < 300:
        return Receipt(answer.headers.get("Location", "")[-80:])
    if status in _GONE:
        raise GoneError("web push: the subscription is gone")
    permanent = 300 <= status < 500 and status not in _AGAIN
    raise ChannelError(f"web push: the push service answered {status}", permanent=permanent)


def _data(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError as error:
        raise SubscriptionError("subscription: is not JSON") from error
