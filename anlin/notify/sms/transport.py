"""Hand a short message to the gateway of a community's contract, or to the log in development."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping
from typing import Any

import httpx

from anlin.notify.base import ChannelError, Message, Receipt
from anlin.notify.sms.config import Console, Format, Gateway

log = logging.getLogger(__name__)

MAX_ANSWER_BYTES = 64 * 1024
MAX_TEXT_CHARS = 500
"""Seven parts of a long message; no notice of ours is longer."""

_NUMBER = re.compile(r"\+?[0-9]{5,15}")
"""E.164: at most 15 digits."""
_BLANK = re.compile(r"\{(\w+)\}")
_AGAIN = frozenset({408, 425, 429})
"""Answers of the 4xx family that another try may change."""
_NEVER_LEFT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.UnsupportedProtocol)
"""No connection, so nothing went over it."""


def send(message: Message, config: Gateway | Console) -> Receipt:
    """Send one short message.

    Raises:
        ChannelError: permanent where number, template or account are at fault.
    """
    if not _NUMBER.fullmatch(message.to):
        raise ChannelError("sms: the number is not one", permanent=True)
    if len(message.text) > MAX_TEXT_CHARS:
        raise ChannelError(f"sms: longer than {MAX_TEXT_CHARS} characters", permanent=True)
    if isinstance(config, Console):
        return _into_the_log(message)
    body = _filled(config.body, _blanks(message, config))
    headers = _filled(config.headers, _blanks(message, config))
    try:
        with (
            httpx.Client(timeout=config.timeout_s, follow_redirects=False) as client,
            client.stream(
                "POST",
                config.url,
                headers=headers,
                **({"json": body} if config.format is Format.JSON else {"data": body}),
            ) as answer,
        ):
            return _judged(answer, config)
    except httpx.HTTPError as error:
        raise ChannelError(
            f"sms: the gateway: {type(error).__name__}",
            permanent=False,
            maybe_taken=not isinstance(error, _NEVER_LEFT),
        ) from error


def tail(number: str) -> str:
    """Give what may be said of a number in a log line: its last four digits."""
    return f"…{number[-4:]}"


def _into_the_log(message: Message) -> Receipt:
    log.warning("SMS to %s, not sent (no gateway): %s", tail(message.to), message.text)
    return Receipt("log")


def _blanks(message: Message, config: Gateway) -> dict[str, str]:
    return {
        **message.values,
        "to": message.to,
        "text": message.text,
        "key": message.key,
        "template": config.templates.get(message.kind, message.kind),
        "secret": config.secret,
    }


def _filled(value: Any, blanks: Mapping[str, str]) -> Any:
    """Fill the blanks of every text in a tree."""
    if isinstance(value, str):
        return _BLANK.sub(lambda found: _blank(found[1], blanks), value)
    if isinstance(value, dict):
        return {name: _filled(item, blanks) for name, item in value.items()}
    if isinstance(value, list):
        return [_filled(item, blanks) for item in value]
    return value


def _blank(name: str, blanks: Mapping[str, str]) -> str:
    if name not in blanks:
        raise ChannelError(f"sms: no message has what {{{name}}} asks for", permanent=True)
    return blanks[name]


def _judged(answer: httpx.Response, config: Gateway) -> Receipt:
    """Say what an answer means: by its status, then by the field that says it was taken."""
    status = answer.status_code
    if not 200 <= status < 300:
        permanent = 300 <= status < 500 and status not in _AGAIN
        raise ChannelError(
            f"sms: the gateway answered {status}",
            permanent=permanent,
            # A gateway that fails halfway, or waits for no more, may have sent it before.
            maybe_taken=status >= 500 or status == 408,
        )
    if not config.taken_field and not config.reference:
        return Receipt()
    body = b""
    for chunk in answer.iter_bytes():
        body += chunk
        if len(body) > MAX_ANSWER_BYTES:
            raise ChannelError(
                f"sms: the gateway's answer is over {MAX_ANSWER_BYTES} bytes",
                permanent=False,
                maybe_taken=True,
            )
    try:
        said = json.loads(body)
    except ValueError as error:
        raise ChannelError(
            "sms: the gateway's answer is not JSON", permanent=False, maybe_taken=True
        ) from error
    found = str(_at(said, config.taken_field)) if config.taken_field else ""
    if found != config.taken_equals:
        raise ChannelError(
            f"sms: the gateway refused: {config.taken_field} is {found[:40]!r}", permanent=True
        )
    reference = _at(said, config.reference) if config.reference else None
    return Receipt("" if reference is None else str(reference)[:80])


def _at(data: Any, path: str) -> Any:
    """Give what stands at a dotted path, such as `Response.SendStatusSet.0.Code`."""
    for step in path.split("."):
        if isinstance(data, dict):
            data = data.get(step)
        elif isinstance(data, list) and step.isdigit() and int(step) < len(data):
            data = data[int(step)]
        else:
            return None
    return data
