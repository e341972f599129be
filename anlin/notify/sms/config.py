"""How a community's SMS gateway wants to be spoken to: read from a TOML file, checked once.

    url = "https://sms.example.net/send"
    format = "json"                                   # or "form": fields in the body
    [headers]
    Authorization = "Bearer {secret}"
    [body]
    mobile = "{to}"
    template = "{template}"
    params = { code = "{code}", minutes = "{minutes}" }
    [templates]
    log_in_code = "SMS_100001"
    [taken]                                           # what an answer must say, beside status 2xx
    field = "Code"
    equals = "OK"
    reference = "BizId"

In every text `{secret}` is the secret from the environment, `{to}` the number, `{text}` the whole
message, `{template}` the gateway's own name for this kind of message, `{key}` what is the same for
each try, and any other name one of the message's values.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
TIMEOUT_S = 10.0
"""Gateways answer within one or two seconds; a slower one holds up whoever comes after."""


class ConfigError(ValueError):
    """A configuration that can't be used; names the field and the rule."""


class Format(StrEnum):
    """What shape the fields have in the body."""

    JSON = "json"
    FORM = "form"


@dataclass(frozen=True, slots=True)
class Gateway:
    """One HTTP gateway."""

    url: str
    body: Mapping[str, Any]
    format: Format = Format.JSON
    headers: Mapping[str, str] = field(default_factory=dict)
    templates: Mapping[str, str] = field(default_factory=dict)
    taken_field: str = ""
    taken_equals: str = ""
    reference: str = ""
    secret: str = field(default="", repr=False)
    timeout_s: float = TIMEOUT_S


@dataclass(frozen=True, slots=True)
class Console:
    """No gateway: the message goes into the log of the process. For development only."""


_FIELDS = frozenset({"url", "format", "headers", "body", "templates", "taken"})


def read(path: Path, secret: str = "") -> Gateway:
    """Read the file of a gateway.

    Raises:
        ConfigError: missing, not TOML, or a field breaks a rule.
    """
    try:
        data = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ConfigError(f"{path.name}: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path.name}: not TOML ({error})") from error
    return from_data(data, secret)


def from_data(data: Mapping[str, Any], secret: str = "") -> Gateway:
    """Check what a file holds.

    Raises:
        ConfigError: a field breaks a rule.
    """
    unknown = sorted(set(data) - _FIELDS)
    if unknown:
        raise ConfigError(f"unknown fields: {', '.join(unknown)[:80]}")
    url = _text(data, "url")
    parts = urlsplit(url)
    if parts.scheme not in ("https", "http") or not parts.hostname:
        raise ConfigError("url: must be an https address")
    if parts.scheme == "http" and parts.hostname not in LOOPBACK:
        raise ConfigError("url: http only to this machine itself, a secret must not travel openly")
    shape = data.get("format", Format.JSON)
    if shape not in tuple(Format):
        raise ConfigError(f"format: must be one of {', '.join(Format)}")
    body = data.get("body")
    if not isinstance(body, dict) or not body:
        raise ConfigError("body: must be a table of the fields that the gateway takes")
    if Format(shape) is Format.FORM and not all(isinstance(item, str) for item in body.values()):
        raise ConfigError("body: a form takes texts only")
    taken = data.get("taken", {})
    if not isinstance(taken, dict) or set(taken) - {"field", "equals", "reference"}:
        raise ConfigError("taken: takes field, equals and reference")
    return Gateway(
        url,
        body,
        Format(shape),
        _texts(data, "headers"),
        _texts(data, "templates"),
        str(taken.get("field", "")),
        str(taken.get("equals", "")),
        str(taken.get("reference", "")),
        secret,
    )


def _text(data: Mapping[str, Any], name: str) -> str:
    value = data.get(name)
    if not isinstance(value, str) or not value:
        raise ConfigError(f"{name}: must be a text")
    return value


def _texts(data: Mapping[str, Any], name: str) -> Mapping[str, str]:
    table = data.get(name, {})
    if not isinstance(table, dict) or not all(isinstance(item, str) for item in table.values()):
        raise ConfigError(f"{name}: must be a table of texts")
    return table
