"""Which faces the cameras know: templates opened with this node's key, in memory only."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Iterable

import structlog

from anlin.core.detection import GalleryAdd, GalleryTemplate
from anlin.core.entities import Template
from anlin.wire.keys import SealError, unseal

log = structlog.get_logger(__name__)

CHUNK_TEMPLATES = 200
"""About 150 KB a line, and a pause for the event loop of some 20 ms."""


def open_templates(
    sealing_key: str, templates: Iterable[Template], model: str
) -> tuple[GalleryTemplate, ...]:
    """Open the templates of one model; what this key can't open is logged by its id."""
    opened = []
    for template in templates:
        if template.model != model:
            continue
        try:
            plain = unseal(sealing_key, template.sealed, f"{template.id}/{template.model}")
        except SealError as error:
            log.error("template_not_opened", credential=template.id, error=str(error))
            continue
        vector = base64.b64encode(plain).decode()
        opened.append(GalleryTemplate(template.id, template.holder, vector))
    return tuple(opened)


async def gallery(
    sealing_key: str, templates: list[Template], model: str
) -> AsyncIterator[GalleryAdd]:
    """Yield everything that cameras with one model should know, a chunk at a time."""
    for start in range(0, len(templates), CHUNK_TEMPLATES):
        chunk = templates[start : start + CHUNK_TEMPLATES]
        opened = await asyncio.to_thread(open_templates, sealing_key, chunk, model)
        if opened:
            yield GalleryAdd(model, opened)
