"""What edges ask of the hub over HTTP; the open down-stream is in `anlin.hub.live`.

Every refusal is JSON: {"error": "<thing: rule>"}.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from functools import wraps
from typing import Any, cast

from django.core.exceptions import RequestDataTooBig
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt

from anlin.core.codec import DataError, from_data, to_data
from anlin.core.sync import MAX_BODY_BYTES, Enrol
from anlin.hub.devices import services as devices
from anlin.hub.devices.models import Node
from anlin.hub.events import pictures, store
from anlin.hub.events.fold import fold
from anlin.hub.permissions import public

log = logging.getLogger(__name__)

_View = Callable[..., HttpResponse]


def refusal(status: int, error: str, **more: Any) -> JsonResponse:
    """Answer no, with the rule."""
    return JsonResponse({"error": error, **more}, status=status)


def bearer(header: str) -> str:
    """Give the token of an Authorization header, or ""."""
    scheme, _, token = header.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def _takes(method: str) -> Callable[[_View], _View]:
    """Answer one method, to programs: no CSRF token, and JSON whatever happens."""

    def decorate(view: _View) -> _View:
        @csrf_exempt
        @wraps(view)
        def wrapper(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            if request.method != method:
                return refusal(405, f"{request.path}: only {method}")
            try:
                return view(request, *args, **kwargs)
            except (DatabaseError, OSError) as error:
                # A full disk, most likely. The edge keeps what it has and tries again.
                log.exception("%s failed", request.path)
                return refusal(503, f"{request.path}: storage failed ({type(error).__name__})")

        return cast(_View, wrapper)

    return decorate


def _by_node(view: _View) -> _View:
    """Let only an enrolled node reach a view, which gets it as its second argument."""

    @wraps(view)
    def wrapper(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        token = bearer(request.headers.get("Authorization", ""))
        node = devices.node_of(token) if token else None
        if node is None:
            return refusal(401, "token: not of an enrolled node")
        return view(request, node, *args, **kwargs)

    return wrapper


@public("the one-time code is the proof")
@_takes("POST")
def enrol(request: HttpRequest) -> HttpResponse:
    try:
        wanted = from_data(Enrol, _json(request, _MAX_ENROL_BYTES))
    except DataError as error:
        return refusal(400, str(error))
    except RequestDataTooBig as error:
        return refusal(413, str(error))
    try:
        return JsonResponse(to_data(devices.enrol_node(wanted)))
    except devices.EnrolError as error:
        return refusal(403, str(error))


_MAX_ENROL_BYTES = 4096


@public("signed in as a node, by token")
@_takes("POST")
@_by_node
def events(request: HttpRequest, node: Node) -> HttpResponse:
    try:
        batch = _json(request, MAX_BODY_BYTES)
    except DataError as error:
        return refusal(400, str(error))
    except RequestDataTooBig as error:
        return refusal(413, str(error))
    fault = _batch_fault(batch, node)
    if fault:
        return refusal(400, fault)
    now = timezone.now()
    try:
        committed = store.commit(node, batch["events"], now)
    except store.GapError as error:
        return refusal(409, str(error), expected=error.expected)
    except store.BatchError as error:
        return refusal(400, str(error))
    for refused in committed.refused:
        log.warning("event set aside node=%s %s", node.pk, refused.rule)
    try:
        Node.objects.filter(pk=node.pk).update(
            acked_seq=committed.seq,
            rules_as_of=batch.get("rules_as_of", 0),
            last_seen_at=now,
        )
        fold()
    except DatabaseError:
        # The events are durable and will be folded with the next ones; the edge may go on.
        log.exception("fold failed node=%s", node.pk)
    return JsonResponse(to_data(committed))


@public("signed in as a node, by token")
@_takes("PUT")
@_by_node
def media(request: HttpRequest, node: Node, sha256: str) -> HttpResponse:
    try:
        pictures.keep(node, sha256, _body(request, pictures.MAX_PICTURE_BYTES), timezone.now())
    except RequestDataTooBig as error:
        return refusal(413, f"picture {sha256[:12]}: {error}")
    except pictures.PictureError as error:
        return refusal(422, str(error))
    return JsonResponse({"kept": sha256})


def _batch_fault(batch: Any, node: Node) -> str:
    """Say what is wrong with a batch as a whole, or ""."""
    if not isinstance(batch, dict) or not isinstance(batch.get("events"), list):
        return "Batch.events: expected a list"
    if batch.get("node") != node.pk:
        return f"Batch.node: {str(batch.get('node'))[:40]!r} is not the node of this token"
    rules = batch.get("rules_as_of", 0)
    if not isinstance(rules, int) or isinstance(rules, bool) or not 0 <= rules < 2**63:
        return f"Batch.rules_as_of: {str(rules)[:40]!r} is not a revision"
    return ""


def _json(request: HttpRequest, most: int) -> Any:
    """Read a body as JSON.

    Raises:
        RequestDataTooBig: more bytes than allowed; none were read.
        DataError: not JSON.
    """
    body = _body(request, most)
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise DataError(f"body of {len(body)} bytes: not JSON ({str(error)[:80]})") from error


def _body(request: HttpRequest, most: int) -> bytes:
    length = request.headers.get("Content-Length") or "0"
    if not length.isdigit() or int(length) > most:
        raise RequestDataTooBig(f"body of {length[:20]} bytes: at most {most}")
    return request.body
