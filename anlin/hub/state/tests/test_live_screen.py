"""A screen at a gate against the real processes: it opens with its key and hears at once."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from anlin.core.event import EventKind
from anlin.hub.conftest import Hub, Site, run_manage
from anlin.hub.events.tests.helpers import Journal

pytestmark = pytest.mark.e2e

_SET_UP = """
from anlin.core.entities import Direction, Method
from anlin.hub.access import services as access
from anlin.hub.audit.log import Actor
from anlin.hub.people.models import Community
from anlin.hub.state.screen import make_key
by = Actor.command("test")
community = Community.objects.get(pk="{community}")
portal = access.add_portal(community, "{name}", by, node=community.nodes.get())
methods = [Method.CARD, Method.QR]
point = access.add_point(portal, "{name}", Direction.ENTRY, methods, by)
print(point.pk, portal.pk, make_key(point, by))
"""


async def words(lines: AsyncIterator[str], count: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    async with asyncio.timeout(15):
        async for line in lines:
            if line.startswith("data: {"):
                found.append(json.loads(line.removeprefix("data: ")))
            if len(found) == count:
                return found
    raise AssertionError("the stream ended")


async def test_a_screen_hears_what_happens_at_its_gate_and_nothing_else(
    hub: Hub, site: Site
) -> None:
    name = f"gate {secrets.token_hex(3)}"
    code = _SET_UP.format(community=site.community, name=name)
    made = await asyncio.to_thread(run_manage, hub.home, "shell", "-v", "0", "-c", code)
    point, portal, key = made.split()[-3:]
    journal = Journal(site.node)
    granted = {"reason": "granted", "method": "card", "label": "林女士", "holder": "h_secret"}
    events = [
        journal.add(EventKind.ACCESS_GRANTED, "ap_elsewhere", granted),
        journal.add(EventKind.ACCESS_GRANTED, point, granted),
        journal.add(EventKind.DURESS, point, granted),
        journal.add(EventKind.WATCH_HIT, point, {"entry": "we_secret"}),
        journal.add(EventKind.DOOR_PREALARM, portal, {}),
    ]
    url = f"{site.live}/live/screen?point={point}&language=en"
    async with httpx.AsyncClient(timeout=20) as client:
        for cookie in ("", "anlin_screen=guess", f"anlin_screen={key}x"):
            assert (await client.get(url, headers={"Cookie": cookie})).status_code == 401
        elsewhere = url.replace(point, "ap_elsewhere")
        with_key = {"Cookie": f"anlin_screen={key}"}
        assert (await client.get(elsewhere, headers=with_key)).status_code == 401
        assert (await client.get(f"{url}&after=x", headers=with_key)).status_code == 400
        async with client.stream("GET", url, headers=with_key) as answer:
            assert answer.status_code == 200
            lines = answer.aiter_lines()
            assert (await anext(lines)).startswith("retry:")
            body = {"node": site.node, "events": events, "rules_as_of": 0}
            await client.post(f"{site.web}/sync/v1/events", json=body, headers=site.as_node)
            greeting, warning = await words(lines, 2)
    assert greeting["text"] == "Please come in, 林女士"
    assert warning["text"] == "Please close the door"
    assert "secret" not in json.dumps([greeting, warning])
