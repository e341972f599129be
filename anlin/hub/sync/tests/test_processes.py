"""Edges and consoles against the two real processes, over real sockets."""

from __future__ import annotations

import asyncio
import hashlib
import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from anlin.core.event import EventKind
from anlin.core.policy import Delta, Policy
from anlin.core.sync import MAX_BODY_BYTES, Beat, Command, Snapshot, from_down
from anlin.hub.conftest import Hub, Site
from anlin.hub.events.tests.helpers import Journal
from anlin.wire import keys

pytestmark = pytest.mark.e2e

JPEG = b"\xff\xd8\xff\xe0" + b"a face" * 100
SHA = hashlib.sha256(JPEG).hexdigest()


def send(site: Site, events: list[Any], **other: Any) -> httpx.Response:
    body = {"node": site.node, "events": events, "rules_as_of": 0, **other}
    return httpx.post(f"{site.web}/sync/v1/events", json=body, headers=site.as_node)


def error_of(answer: httpx.Response) -> str:
    assert answer.headers["content-type"] == "application/json"
    return str(answer.json()["error"])


def register(site: Site, name: str) -> str:
    body = {"name": name, "unit": "1-101"}
    made = httpx.post(f"{site.web}/api/v1/holders", json=body, headers=site.as_manager)
    return str(made.json()["id"])


@asynccontextmanager
async def stream(
    site: Site, path: str, headers: dict[str, str]
) -> AsyncIterator[AsyncIterator[str]]:
    async with (
        httpx.AsyncClient(timeout=20) as client,
        client.stream("GET", f"{site.live}{path}", headers=headers) as answer,
    ):
        assert answer.status_code == 200, await answer.aread()
        yield answer.aiter_lines()


async def until(lines: AsyncIterator[str], wanted: type[Any]) -> Any:
    async with asyncio.timeout(15):
        async for line in lines:
            message = from_down(json.loads(line))
            if isinstance(message, wanted):
                return message
    raise AssertionError("the stream ended")


# Enrolment


def test_a_code_that_is_wrong_or_used_is_refused_by_its_rule(hub: Hub, site: Site) -> None:
    made = hub.found()
    body = {
        "code": made["code"],
        "public_key": keys.public_sealing_key(keys.new_sealing_key()),
        "versions": [1],
        "software": "test",
    }
    for change, rule in (
        ({"code": "aaaa-aaaa-aaaa"}, "code: not known"),
        ({"versions": [7]}, "versions [7]"),
        ({"public_key": "short"}, "public_key"),
        ({}, ""),
        ({"public_key": keys.public_sealing_key(keys.new_sealing_key())}, "code: used already"),
        ({}, ""),  # the answer was lost on the way
    ):
        answer = httpx.post(f"{hub.web}/sync/v1/enrol", json={**body, **change})
        assert answer.status_code == (403 if rule else 200)
        assert rule in answer.text


@pytest.mark.parametrize(
    ("content", "status", "rule"),
    [
        (b"not json", 400, "not JSON"),
        (b"[]", 400, "expected an object"),
        (b'{"code": 1}', 400, "Enrol.code"),
        (b"[" * 4000, 400, "not JSON"),
        (b" " * 5000, 413, "at most 4096"),
        (b"\xff\xfe", 400, "not JSON"),
    ],
)
def test_an_enrolment_that_is_none_is_refused(
    hub: Hub, content: bytes, status: int, rule: str
) -> None:
    answer = httpx.post(f"{hub.web}/sync/v1/enrol", content=content)
    assert answer.status_code == status
    assert rule in error_of(answer)


# Events


@pytest.mark.parametrize("token", ["", "Bearer", "Bearer guessed", "Basic eDp5", "Bearer 安"])
def test_nobody_speaks_for_a_node_without_its_token(hub: Hub, token: str) -> None:
    headers = {b"Authorization": token.encode()} if token else {}
    for address in (f"{hub.web}/sync/v1/events", f"{hub.web}/sync/v1/media/{SHA}.jpg"):
        method = "POST" if "events" in address else "PUT"
        answer = httpx.request(method, address, content=b"{}", headers=headers)
        assert answer.status_code == 401
        assert "token" in error_of(answer)
    answer = httpx.get(f"{hub.live}/sync/v1/down", headers=headers)
    assert answer.status_code == 401
    assert "token" in error_of(answer)


def test_events_are_committed_and_a_replay_changes_nothing(hub: Hub, site: Site) -> None:
    batch = Journal(site.node).many(20)
    for _ in range(3):
        answer = send(site, batch)
        assert answer.status_code == 200, answer.text
        assert answer.json() == {"seq": 20, "refused": []}
    with sqlite3.connect(hub.home / "hub" / "events.sqlite3") as log:
        query = "SELECT count(*), count(DISTINCT seq) FROM events_event WHERE node = ?"
        assert log.execute(query, [site.node]).fetchone() == (20, 20)
    nodes = httpx.get(f"{site.web}/api/v1/nodes", headers=site.as_manager).json()
    assert nodes[0]["acked_seq"] == 20


def test_a_gap_is_answered_with_what_is_expected(site: Site) -> None:
    events = Journal(site.node).many(5)
    answer = send(site, events[3:])
    assert answer.status_code == 409
    assert answer.json()["expected"] == 1
    assert site.node in error_of(answer)
    assert send(site, events).json()["seq"] == 5


def test_an_altered_event_is_set_aside_by_name_and_the_rest_goes_on(site: Site) -> None:
    events = Journal(site.node).many(4)
    events[1]["data"] = {"reason": "granted"}
    answer = send(site, events).json()
    assert answer["seq"] == 4
    assert [refused["seq"] for refused in answer["refused"]] == [2]
    assert "altered" in answer["refused"][0]["rule"]
    assert send(site, events).json()["refused"] == []


@pytest.mark.parametrize(
    ("content", "status", "rule"),
    [
        (b"{", 400, "not JSON"),
        (b"[" * 100_000, 400, "not JSON"),
        (b"{}", 400, "Batch.events"),
        (b'{"events": [], "node": "n_other"}', 400, "n_other"),
        (b'{"events": [], "node": null}', 400, "Batch.node"),
        (b"x" * (MAX_BODY_BYTES + 1), 413, "at most"),
    ],
)
def test_a_batch_that_is_none_is_refused_and_the_hub_lives(
    site: Site, content: bytes, status: int, rule: str
) -> None:
    answer = httpx.post(f"{site.web}/sync/v1/events", content=content, headers=site.as_node)
    assert answer.status_code == status
    assert rule in error_of(answer)
    assert send(site, Journal(site.node).many(1)).status_code == 200


def test_rules_as_of_has_to_be_a_revision(site: Site) -> None:
    assert "rules_as_of" in error_of(send(site, [], rules_as_of="new"))
    assert send(site, [], rules_as_of=3).status_code == 200
    nodes = httpx.get(f"{site.web}/api/v1/nodes", headers=site.as_manager).json()
    assert (nodes[0]["rules_as_of"], nodes[0]["is_online"]) == (3, True)


def test_another_method_is_refused_in_json(site: Site) -> None:
    answer = httpx.get(f"{site.web}/sync/v1/events", headers=site.as_node)
    assert answer.status_code == 405
    assert "only POST" in error_of(answer)


# Pictures


@pytest.mark.parametrize(
    ("name", "content", "status", "rule"),
    [
        (SHA, JPEG, 200, ""),
        (SHA, JPEG + b"x", 422, "SHA-256"),
        ("0" * 64, JPEG, 422, "not its name"),
        (hashlib.sha256(b"GIF").hexdigest(), b"GIF", 422, "not a JPEG"),
        (SHA, b"\xff\xd8\xff" + b"x" * 1024 * 1024, 413, "at most 1048576"),
        ("..%2f..%2fsecret", JPEG, 404, ""),
    ],
)
def test_a_picture_has_to_be_what_its_name_says(
    site: Site, name: str, content: bytes, status: int, rule: str
) -> None:
    address = f"{site.web}/sync/v1/media/{name}.jpg"
    answer = httpx.put(address, content=content, headers=site.as_node)
    assert answer.status_code == status
    assert rule in answer.text


# Down


async def test_a_node_gets_everything_then_each_change(site: Site) -> None:
    async with stream(site, "/sync/v1/down?after=0&command=0", site.as_node) as lines:
        policy = Policy()
        policy.apply(await until(lines, Delta))
        assert policy.community is not None
        assert policy.community.id == site.community
        beat = await until(lines, Beat)
        assert beat.revision == policy.revision
        holder = await asyncio.to_thread(register, site, "林安")
        delta = await until(lines, Delta)
        policy.apply(delta)
        assert holder in policy.holders
    # Resumed, it gets what it lacks and nothing else.
    async with stream(site, f"/sync/v1/down?after={policy.revision}", site.as_node) as lines:
        assert isinstance(from_down(json.loads(await anext(lines))), Beat)


async def test_a_node_that_is_ahead_is_told_to_start_anew(site: Site) -> None:
    async with stream(site, "/sync/v1/down?after=999999", site.as_node) as lines:
        assert isinstance(from_down(json.loads(await anext(lines))), Snapshot)


@pytest.mark.parametrize("query", ["after=-1", "after=x", "command=1e9", f"after={10**30}"])
def test_a_position_that_is_none_is_refused(site: Site, query: str) -> None:
    answer = httpx.get(f"{site.live}/sync/v1/down?{query}", headers=site.as_node)
    assert answer.status_code == 400
    assert "position" in error_of(answer)


async def test_a_release_reaches_the_node_and_its_answer_the_person(hub: Hub, site: Site) -> None:
    portal = await asyncio.to_thread(add_portal, hub, site)
    async with stream(site, "/sync/v1/down?after=0&command=0", site.as_node) as lines:
        await until(lines, Beat)
        answer = await asyncio.to_thread(
            httpx.post,
            f"{site.web}/api/v1/portals/{portal}/release",
            json={"reason": "快递"},
            headers=site.as_manager,
        )
        command = await until(lines, Command)
        assert (command.id, command.target) == (answer.json()["id"], portal)
        assert (command.number, command.by) == (1, site.manager)
    journal = Journal(site.node)
    done = journal.add(EventKind.COMMAND_DONE, portal, {"command": command.id})
    taken = journal.add(EventKind.ACCESS_TAKEN, portal, {"release": command.id})
    await asyncio.to_thread(send, site, [done, taken])
    address = f"{site.web}/api/v1/commands/{command.id}"
    found = (await asyncio.to_thread(httpx.get, address, headers=site.as_manager)).json()
    assert found["outcome"] == "done"
    assert found["sent_at"] is not None
    assert found["acted_at"] is not None


def add_portal(hub: Hub, site: Site) -> str:
    """Setting up portals is the installer's work; there is no address for it yet."""
    from anlin.hub.conftest import run_manage

    script = (
        "from anlin.hub.access.services import add_portal\n"
        "from anlin.hub.audit.log import Actor\n"
        "from anlin.hub.devices.models import Node\n"
        f"node = Node.objects.get(pk='{site.node}')\n"
        "print(add_portal(node.community, '东门', Actor.command('test'), node=node).pk)\n"
    )
    return run_manage(hub.home, "shell", "-v", "0", "-c", script).strip().splitlines()[-1]


# Live


def session(site: Site) -> dict[str, str]:
    """Sign in by the page, as a browser does; give the cookie header."""
    with httpx.Client(base_url=site.web, follow_redirects=False) as client:
        client.get("/login")
        answer = client.post(
            "/login",
            data={
                "username": site.manager,
                "password": site.password,
                "csrfmiddlewaretoken": client.cookies["anlin_csrf"],
            },
            headers={"Referer": f"{site.web}/login"},
        )
        assert answer.status_code == 302, answer.text
        return {"Cookie": f"anlin_session={client.cookies['anlin_session']}"}


async def rows(lines: AsyncIterator[str], count: int) -> list[dict[str, Any]]:
    found = []
    async with asyncio.timeout(15):
        async for line in lines:
            if line.startswith("data: "):
                found.append(json.loads(line.removeprefix("data: ")))
                if len(found) == count:
                    break
    return found


async def test_a_console_sees_events_as_they_come_and_resumes_without_a_gap(site: Site) -> None:
    cookie = await asyncio.to_thread(session, site)
    journal = Journal(site.node)
    async with stream(site, "/live/events", cookie) as lines:
        first = await anext(lines)
        assert first.startswith("retry:")
        await asyncio.to_thread(send, site, journal.many(3))
        seen = await rows(lines, 3)
    assert [row["seq"] for row in seen] == [1, 2, 3]
    assert seen[0]["reason_text"]
    # Away while more happens; comes back with the id that it saw last.
    await asyncio.to_thread(send, site, journal.many(250))
    resume = {**cookie, "Last-Event-ID": str(seen[1]["position"])}
    async with stream(site, "/live/events", resume) as lines:
        seen = await rows(lines, 251)
    assert [row["seq"] for row in seen] == list(range(3, 254))


async def test_a_console_may_ask_for_some_kinds_in_its_own_language(site: Site) -> None:
    cookie = await asyncio.to_thread(session, site)
    cookie["Cookie"] += "; anlin_language=en"
    journal = Journal(site.node)
    events = [journal.add(), journal.add(EventKind.DOOR_FORCED, "p_x"), journal.add()]
    async with stream(site, "/live/events?kinds=door_forced,door_held", cookie) as lines:
        await anext(lines)
        await asyncio.to_thread(send, site, events)
        (row,) = await rows(lines, 1)
    assert (row["seq"], row["reason_text"]) == (2, "Forced open")


def test_nobody_listens_without_a_log_in(site: Site) -> None:
    for headers in ({}, {"Cookie": "anlin_session=guessed"}, site.as_node, {"Cookie": "\x01=;;"}):
        answer = httpx.get(f"{site.live}/live/events", headers=headers)
        assert answer.status_code == 401
    cookie = session(site)
    assert httpx.get(f"{site.live}/live/events?kinds=x", headers=cookie).status_code == 400
    assert httpx.get(f"{site.live}/live/events?after=x", headers=cookie).status_code == 400
    assert httpx.post(f"{site.live}/live/events", headers=cookie).status_code == 405
    assert httpx.get(f"{site.live}/login").status_code == 404


def test_only_the_pages_origin_may_read_live_rows(site: Site) -> None:
    headers = {"Origin": "http://evil.example"}
    answer = httpx.get(f"{site.live}/live/events", headers=headers)
    assert answer.headers["access-control-allow-origin"] == site.web


def test_a_picture_is_shown_to_its_own_staff_only(hub: Hub, site: Site) -> None:
    httpx.put(f"{site.web}/sync/v1/media/{SHA}.jpg", content=JPEG, headers=site.as_node)
    address = f"{site.web}/media/{SHA}.jpg"
    assert httpx.get(address).status_code == 302
    assert httpx.get(address, headers=session(site)).content == JPEG
    # The same picture sent by no node of theirs is not there for others.
    assert httpx.get(address, headers=session(hub.site())).status_code == 404
