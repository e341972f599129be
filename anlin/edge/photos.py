"""Photographs that face terminals need, asked of the hub one by one and kept nowhere here."""

from __future__ import annotations

from urllib.parse import quote

import httpx
import structlog

from anlin.edge.uplink import HubError
from anlin.wire.keys import SealError, unseal

log = structlog.get_logger(__name__)

MAX_SEALED_CHARS = 4_000_000
"""The hub scales them to some 100 KB; in base64, and with room to spare."""


async def fetch_photo(client: httpx.AsyncClient, sealing_key: str, credential: str) -> bytes | None:
    """Fetch the photograph of a credential as a JPEG; None where there is none to give.

    `client` has the hub's address and this node's token.

    Raises:
        HubError: refused for another reason, or answered strangely.
        httpx.HTTPError: the hub can't be reached; ask again.
    """
    where = f"photo {credential[:24]}"
    answer = await client.get(f"/sync/v1/photos/{quote(credential, safe='')}")
    if answer.status_code in (httpx.codes.NOT_FOUND, httpx.codes.UNPROCESSABLE_ENTITY):
        log.info("no_photo", credential=credential[:24], status=answer.status_code)
        return None
    if answer.status_code != httpx.codes.OK:
        raise HubError(f"hub refused {where}: {answer.status_code}")
    try:
        sealed = answer.json()["sealed"]
        if not isinstance(sealed, str) or len(sealed) > MAX_SEALED_CHARS:
            raise ValueError("not a sealed box")
        return unseal(sealing_key, sealed, f"photo {credential}")
    except (SealError, ValueError, KeyError, TypeError) as error:
        raise HubError(f"hub answered {where} strangely: {error}") from error
