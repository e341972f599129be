"""Outside services that say whether a name and a number belong together.

Off unless the operator names one (`ANLIN_VERIFIER_URL`): whoever is asked learns that somebody
lives here, so the person has to agree to that one question (PIPL article 23).
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import urlsplit

import httpx
from django.conf import settings
from django.utils.translation import gettext as _

from anlin.core.identity import Document
from anlin.hub.errors import RuleError

WAIT_S = 8.0
"""Somebody stands at the desk meanwhile; a service that needs longer is down."""

MAX_ANSWER_BYTES = 64 * 1024


class VerifierError(RuleError):
    """No answer was got: nothing is known about the person by it."""


class Verifier(Protocol):
    """One outside service."""

    @property
    def name(self) -> str:
        """Name the service as the records of a check do."""

    def confirms(self, document: Document, number: str, name: str) -> bool:
        """Say whether the service knows this name under this number.

        Raises:
            VerifierError: it gave no answer that can be understood.
        """


@dataclass(frozen=True, slots=True)
class HttpVerifier:
    """A service that takes {"document", "number", "name"} and answers {"match": true or false}."""

    url: str
    token: str = ""
    name: str = "http"

    def confirms(self, document: Document, number: str, name: str) -> bool:
        question = {"document": document.value, "number": number, "name": name}
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        try:
            with (
                httpx.Client(timeout=WAIT_S, follow_redirects=False, trust_env=False) as client,
                client.stream("POST", self.url, json=question, headers=headers) as answer,
            ):
                body = _body(answer)
            match = httpx.Response(200, content=body).json()["match"]
        except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
            # The error's own text may quote the question, which is a person's number.
            raise VerifierError(
                _("The outside service %(name)s gave no answer (%(kind)s). Ask again later.")
                % {"name": self.name, "kind": type(error).__name__}
            ) from None
        if not isinstance(match, bool):
            raise VerifierError(
                _("The outside service %(name)s gave an answer that can't be understood.")
                % {"name": self.name}
            )
        return match


def verifier() -> Verifier | None:
    """Give the outside service that this hub asks; None where there is none, as by default."""
    url = str(getattr(settings, "VERIFIER_URL", ""))
    if not url:
        return None
    parts = urlsplit(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and _is_here(parts.hostname or "")):
        raise VerifierError(
            _("ANLIN_VERIFIER_URL has to begin with https: a name and number go there.")
        )
    token = str(getattr(settings, "VERIFIER_TOKEN", ""))
    return HttpVerifier(url, token, parts.hostname or "")


def _is_here(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _body(answer: httpx.Response) -> bytes:
    answer.raise_for_status()
    body = b""
    for chunk in answer.iter_bytes():
        body += chunk
        if len(body) > MAX_ANSWER_BYTES:
            raise ValueError("too long")
    return body
