"""Photographs for face terminals: asked for one by one by the node that drives the terminal.

A terminal makes its own template, so it needs the photograph itself. It leaves the hub only where
the holder agreed that it is kept, only while the face may be used, only for a node that has such
a terminal, and sealed to that node's key. Every time is written down as a look at the person.
"""

from __future__ import annotations

import io

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from PIL import Image, ImageOps, UnidentifiedImageError

from anlin.core.entities import Method, Status
from anlin.hub import vault
from anlin.hub.access.models import Photo
from anlin.hub.audit.log import Actor, Via, viewed
from anlin.hub.devices.models import Device, Node
from anlin.hub.people.models import Purpose
from anlin.hub.permissions import public
from anlin.hub.sync.views import _by_node, _takes, refusal
from anlin.wire import keys

TERMINAL = "face_terminal"
"""The driver whose devices hold photographs."""

SIDE_PX = 800
QUALITY = 88
"""What every terminal takes: some 100 KB. A photograph from a phone is thirty times as much."""


@public("signed in as a node, by token")
@_takes("GET")
@_by_node
def photo(request: HttpRequest, node: Node, credential: str) -> HttpResponse:
    where = f"photo {credential[:24]}"
    if not Device.objects.filter(node=node, driver=TERMINAL).exists():
        return refusal(403, f"{where}: this node has no face terminal")
    found = _find(node, credential)
    if found is None:
        # One answer for all of it: who agreed to what is nobody's business.
        return refusal(404, f"{where}: none may be given")
    try:
        plain = fit(vault.reveal(bytes(found.closed), f"photo {found.pk}"))
    except (vault.VaultError, OSError, UnidentifiedImageError) as error:
        return refusal(422, f"{where}: can't be read ({type(error).__name__})")
    by = Actor(f"node {node.name}", Via.API)
    holder = found.credential.holder_id
    viewed(by, node.community, "photo", [holder], purpose="for a face terminal")
    sealed = keys.seal(node.public_key, plain, f"photo {found.pk}")
    answer = JsonResponse({"sealed": sealed})
    answer["Cache-Control"] = "no-store"
    return answer


def fit(image: bytes) -> bytes:
    """Give a photograph as an upright JPEG of a size that terminals take, and nothing else of it.

    What a phone writes beside the pixels (where, when, which phone) stays here.
    """
    with Image.open(io.BytesIO(image)) as opened:
        upright = ImageOps.exif_transpose(opened).convert("RGB")
    upright.thumbnail((SIDE_PX, SIDE_PX))
    out = io.BytesIO()
    upright.save(out, "JPEG", quality=QUALITY)
    return out.getvalue()


def _find(node: Node, credential: str) -> Photo | None:
    found = (
        Photo.objects.filter(
            credential=credential,
            credential__community=node.community_id,
            credential__method=Method.FACE.value,
            credential__status=Status.ACTIVE.value,
            credential__holder__status=Status.ACTIVE.value,
            credential__templates__node=node,
        )
        .select_related("credential__holder")
        .first()
    )
    if found is None:
        return None
    until = found.credential.valid_until
    holder = found.credential.holder
    is_agreed = holder.has_consent(Purpose.FACE) and holder.has_consent(Purpose.PHOTO)
    return found if is_agreed and (until is None or timezone.now() < until) else None
