"""Short messages of the hub: which way they go, and a thread that sends them after the answer.

A page that waited for the gateway would tell by its slowness which numbers are known here.
"""

from __future__ import annotations

import logging
import os
import queue
import threading
import time
from functools import cache
from pathlib import Path

from django.conf import settings

from anlin.notify.base import ChannelError, Message, Receipt
from anlin.notify.sms.config import ConfigError, Console, Gateway, read
from anlin.notify.sms.transport import send, tail

log = logging.getLogger(__name__)

CONSOLE, GATEWAY = "console", "gateway"

MOST_WAITING = 200
"""A gateway that hangs fills no memory; who asked presses the button again."""
AGAIN_S = (2.0, 6.0)
"""Waits before the second and third try: a code is good for five minutes, nobody waits longer."""


def is_ready() -> bool:
    """Say whether a code can be sent at all."""
    return config() is not None


def is_console() -> bool:
    """Say whether codes go into the log, which is for development only."""
    return isinstance(config(), Console)


def config() -> Gateway | Console | None:
    """Give the way that messages go; None where none is set up."""
    if settings.SMS_MODE == CONSOLE:
        return Console()
    if settings.SMS_MODE != GATEWAY:
        return None
    return _gateway(settings.SMS_CONFIG, os.environ.get("ANLIN_SMS_SECRET", ""))


@cache
def _gateway(path: str, secret: str) -> Gateway | None:
    try:
        return read(Path(path), secret)
    except ConfigError as error:
        log.error("SMS gateway can't be used: %s", error)
        return None


def send_now(message: Message) -> Receipt:
    """Send a message and wait for what the gateway says.

    Raises:
        ChannelError: it was not taken, or no way is set up.
    """
    way = config()
    if way is None:
        raise ChannelError("sms: no gateway is set up", permanent=True)
    return send(message, way)


def send_later(message: Message | None) -> None:
    """Send a message after this request is answered; None costs the same and sends nothing."""
    _started()
    try:
        _waiting.put_nowait(message)
    except queue.Full:
        log.error("SMS dropped: %d are waiting already", MOST_WAITING)


def drain() -> None:
    """Wait until everything that was to be sent is sent or given up."""
    _waiting.join()


_waiting: queue.Queue[Message | None] = queue.Queue(MOST_WAITING)


@cache
def _started() -> threading.Thread:
    thread = threading.Thread(target=_send_all, name="sms", daemon=True)
    thread.start()
    return thread


def _send_all() -> None:
    while True:
        message = _waiting.get()
        try:
            if message is not None:
                _deliver(message)
        finally:
            _waiting.task_done()


def _deliver(message: Message) -> None:
    for wait_s in (*AGAIN_S, None):
        try:
            send_now(message)
        except ChannelError as error:
            if error.permanent or wait_s is None:
                log.error("SMS to %s not sent: %s", tail(message.to), error)
                return
            time.sleep(wait_s)
        else:
            return
