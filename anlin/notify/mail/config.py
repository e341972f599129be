"""Which mail server takes our messages: read from the environment, checked once.

    ANLIN_MAIL_HOST=smtp.example.net      ANLIN_MAIL_PORT=587
    ANLIN_MAIL_FROM=anlin@example.net     ANLIN_MAIL_SECURITY=starttls     (or "tls", "none")
    ANLIN_MAIL_USER=anlin@example.net     ANLIN_MAIL_PASSWORD=...

"none" is taken for this machine itself only: a mail server beside the hub.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
TIMEOUT_S = 20.0
"""For each step of the conversation. Servers that look a sender up first take several seconds."""

ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9.-]{1,190}\.[A-Za-z]{2,24}")
"""What mail servers take everywhere: no comments, no quotes, no other scripts."""


class ConfigError(ValueError):
    """A configuration that can't be used; names the field and the rule."""


class Security(StrEnum):
    """How the conversation is closed to others."""

    STARTTLS = "starttls"
    TLS = "tls"
    NONE = "none"


_PORTS = {Security.STARTTLS: 587, Security.TLS: 465, Security.NONE: 25}


@dataclass(frozen=True, slots=True)
class Server:
    """One mail server; `tls` is the trust of connections, none is that of the system."""

    host: str
    port: int
    sender: str
    security: Security = Security.STARTTLS
    user: str = ""
    password: str = field(default="", repr=False)
    timeout_s: float = TIMEOUT_S
    tls: ssl.SSLContext | None = field(default=None, repr=False)


def from_env(env: Mapping[str, str]) -> Server | None:
    """Read the server from the environment; None where none is named.

    Raises:
        ConfigError: a field breaks a rule.
    """
    host = env.get("ANLIN_MAIL_HOST", "").strip()
    if not host:
        return None
    asked = env.get("ANLIN_MAIL_SECURITY", "") or Security.STARTTLS.value
    if asked not in tuple(Security):
        raise ConfigError(f"ANLIN_MAIL_SECURITY: must be one of {', '.join(Security)}")
    security = Security(asked)
    if security is Security.NONE and host not in LOOPBACK:
        raise ConfigError("ANLIN_MAIL_SECURITY: none only to this machine itself")
    port = env.get("ANLIN_MAIL_PORT", "") or str(_PORTS[security])
    if not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        raise ConfigError("ANLIN_MAIL_PORT: must be a number from 1 to 65535")
    sender = env.get("ANLIN_MAIL_FROM", "")
    if not ADDRESS.fullmatch(sender):
        raise ConfigError("ANLIN_MAIL_FROM: must be a mail address")
    user, password = env.get("ANLIN_MAIL_USER", ""), env.get("ANLIN_MAIL_PASSWORD", "")
    if bool(user) != bool(password):
        raise ConfigError("ANLIN_MAIL_USER and ANLIN_MAIL_PASSWORD: both or neither")
    return Server(host, int(port), sender, security, user, password)
