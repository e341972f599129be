"""Talking to the hub: events and pictures up, policy and commands down.

The edge calls, the hub answers. Nothing here is needed to open a door.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import structlog

from anlin.core.codec import DataError, canonical_json, from_data, to_data
from anlin.core.event import Event
from anlin.core.sync import (
    BEAT_S,
    MAX_BATCH_EVENTS,
    Batch,
    Committed,
    Down,
    Enrol,
    Enrolled,
    from_down,
)
from anlin.edge.journal import Journal

log = structlog.get_logger(__name__)

REQUEST_TIMEOUT_S = 10.0
POLL_S = 0.1
"""How soon a new event is noticed by the outbox: a guard should not see a delay."""

MAX_PICTURES_A_TURN = 20


class HubError(Exception):
    """The hub refused, or answered what makes no sense; says what."""


async def enrol(hub: str, request: Enrol) -> Enrolled:
    """Enrol this node with a one-time code.

    Raises:
        HubError: the hub refused; its rule is in the text.
        httpx.HTTPError: the hub can't be reached.
    """
    async with httpx.AsyncClient(base_url=hub, timeout=REQUEST_TIMEOUT_S) as client:
        answer = await client.post("/sync/v1/enrol", json=to_data(request))
    if answer.status_code != httpx.codes.OK:
        raise HubError(f"hub {hub} refused to enrol this node: {_rule(answer)}")
    try:
        return from_data(Enrolled, answer.json())
    except (DataError, ValueError) as error:
        raise HubError(f"hub {hub} answered the enrolment strangely: {error}") from error


class Outbox:
    """Sends the journal to the hub from where the hub has read, and pictures beside it."""

    def __init__(
        self, hub: str, token: str, journal: Journal, media: Path, rules_as_of: Callable[[], int]
    ) -> None:
        self._client = httpx.AsyncClient(
            base_url=hub,
            timeout=REQUEST_TIMEOUT_S,
            headers={"Authorization": f"Bearer {token}"},
        )
        self._journal = journal
        self._media = media
        self._rules_as_of = rules_as_of

    async def run(self) -> None:
        """Send whatever there is, for ever."""
        while True:
            if not await self.step():
                await asyncio.sleep(POLL_S)

    async def step(self) -> bool:
        """Send one batch and the pictures at hand; True where there was something to send.

        Raises:
            HubError: refused, or answered strangely.
            httpx.HTTPError: the hub can't be reached.
            JournalError: the journal can't be read.
        """
        events = await self._send_events()
        return await self._send_pictures() or events

    async def close(self) -> None:
        """Let go of the connection."""
        await self._client.aclose()

    async def _send_events(self) -> bool:
        # In a thread: five hundred events are some twenty milliseconds, and a door may not wait.
        events, content = await asyncio.to_thread(self._next_batch)
        if not events:
            return False
        answer = await self._client.post(
            "/sync/v1/events", content=content, headers={"Content-Type": "application/json"}
        )
        if answer.status_code == httpx.codes.CONFLICT and self._go_back(answer):
            return True
        if answer.status_code != httpx.codes.OK:
            raise HubError(f"hub refused events from {events[0].seq}: {_rule(answer)}")
        try:
            committed = from_data(Committed, answer.json())
        except (DataError, ValueError) as error:
            raise HubError(f"hub answered events strangely: {error}") from error
        for refusal in committed.refused:
            log.error("event_quarantined_at_hub", seq=refusal.seq, rule=refusal.rule)
        if committed.seq <= self._journal.acked:
            raise HubError(f"hub committed nothing after {self._journal.acked}")
        self._journal.acknowledge(min(committed.seq, events[-1].seq))
        return True

    def _next_batch(self) -> tuple[list[Event], bytes]:
        events = self._journal.read(self._journal.acked, MAX_BATCH_EVENTS)
        batch = Batch(self._journal.node, tuple(events), self._rules_as_of())
        return events, canonical_json(to_data(batch))

    def _go_back(self, answer: httpx.Response) -> bool:
        """Send again what the hub has lost, as one that was restored from a backup has."""
        try:
            expected = int(answer.json()["expected"])
            if expected > self._journal.acked:
                return False
            self._journal.rewind(expected - 1)
        except (ValueError, KeyError, TypeError):
            return False
        log.warning("hub_lost_events", sends_again_from=expected)
        return True

    async def _send_pictures(self) -> bool:
        pictures = sorted(self._media.glob("*.jpg"))[:MAX_PICTURES_A_TURN]
        for picture in pictures:
            try:
                content = await asyncio.to_thread(picture.read_bytes)
            except OSError as error:
                log.error("picture_unreadable", error=str(error))
                continue
            answer = await self._client.put(
                f"/sync/v1/media/{picture.name}",
                content=content,
                headers={"Content-Type": "image/jpeg"},
            )
            if answer.is_client_error and answer.status_code not in (401, 403, 408, 429):
                log.error("picture_refused", rule=_rule(answer))
            elif not answer.is_success:
                raise HubError(f"hub refused a picture: {_rule(answer)}")
            picture.unlink(missing_ok=True)
        return bool(pictures)


class Downstream:
    """Follows the hub's stream of policy and commands from where this node is."""

    def __init__(self, hub: str, token: str) -> None:
        # Three missed beats mean that the stream is dead, whatever TCP believes.
        timeout = httpx.Timeout(REQUEST_TIMEOUT_S, read=3 * BEAT_S)
        self._client = httpx.AsyncClient(
            base_url=hub, timeout=timeout, headers={"Authorization": f"Bearer {token}"}
        )

    async def follow(self, after: int, command: int, take: Callable[[Down], None]) -> None:
        """Hand on each message until the stream ends or breaks.

        Raises:
            HubError: refused, or a message that makes no sense.
            httpx.HTTPError: the connection broke.
        """
        parameters = {"after": str(after), "command": str(command)}
        async with self._client.stream("GET", "/sync/v1/down", params=parameters) as answer:
            if answer.status_code != httpx.codes.OK:
                await answer.aread()
                raise HubError(f"hub refused the down-stream: {_rule(answer)}")
            async for line in answer.aiter_lines():
                if not line.strip():
                    continue
                try:
                    message = from_down(json.loads(line))
                except (DataError, ValueError) as error:
                    raise HubError(f"down-stream: {error}") from error
                take(message)

    async def close(self) -> None:
        """Let go of the connection."""
        await self._client.aclose()


def _rule(answer: httpx.Response) -> str:
    try:
        body: Any = answer.json()
        return f"{answer.status_code} {body['error']}"
    except (ValueError, KeyError, TypeError):
        return f"{answer.status_code} {answer.text[:120]}"
