"""Passes whose code changes: at a gate that no network reaches."""

from __future__ import annotations

from datetime import timedelta

import pytest

from anlin.core import qr, replay
from anlin.core.codec import to_data
from anlin.core.device import Read, Release
from anlin.core.entities import Method
from anlin.core.event import EventKind
from anlin.testing import cast
from anlin.testing.site import Site

COMMUNITY_SECRET = b"s" * 32
LEAVE = cast.zhao_pass(rotates=True, uses=0, points=("gate-in",))
SECRET = qr.pass_secret(COMMUNITY_SECRET, LEAVE.id)
TEXT = cast.qr_text(LEAVE)


@pytest.fixture
def gate(site: Site) -> Site:
    site.engine.set_pass_secret(COMMUNITY_SECRET)
    return site


def of_age(site: Site, seconds: float) -> str:
    """Give what the visitor's page showed so long ago."""
    return qr.shown(TEXT, SECRET, site.clock.now() - timedelta(seconds=seconds))


async def show(site: Site, text: str, **more: float) -> str:
    """Show a text at the gate; give the reason of what was decided."""
    told = await site.take(Read("gate-in", Method.QR, text, site.origin(), **more))
    events = site.events(EventKind.ACCESS_GRANTED, EventKind.ACCESS_DENIED)
    reason = str(events[-1].data["reason"])
    assert any(isinstance(one, Release) for one in told) == (reason == "granted")
    return reason


async def test_the_code_of_now_opens_and_a_screenshot_of_two_minutes_ago_does_not(
    gate: Site,
) -> None:
    gate.engine.is_online = False
    assert await show(gate, of_age(gate, 120)) == "pass_stale"
    assert await show(gate, of_age(gate, 0)) == "granted"


async def test_a_code_is_used_once_and_the_next_one_opens_again(gate: Site) -> None:
    text = of_age(gate, 0)
    assert await show(gate, text) == "granted"
    assert await show(gate, text) == "pass_shown"
    assert await show(gate, of_age(gate, 30)) == "pass_shown"
    await gate.tick(30)
    assert await show(gate, of_age(gate, 0)) == "granted"


async def test_a_rotating_pass_without_a_code_is_refused(gate: Site) -> None:
    assert await show(gate, TEXT) == "pass_stale"
    assert await show(gate, f"{TEXT}.AAAAAAAAAAA") == "pass_stale"


async def test_a_gate_without_the_secret_says_that_it_can_not_tell(site: Site) -> None:
    assert await show(site, of_age(site, 0)) == "pass_unproven"


async def test_a_read_that_waited_in_the_reader_is_judged_by_when_it_was_shown(gate: Site) -> None:
    assert await show(gate, of_age(gate, 62), age_s=9.0) == "granted"


async def test_a_pass_that_does_not_rotate_opens_as_before(gate: Site) -> None:
    assert await show(gate, cast.qr_text(cast.zhao_pass())) == "granted"


async def test_a_used_code_stays_used_after_a_kill(gate: Site) -> None:
    text = of_age(gate, 0)
    assert await show(gate, text) == "granted"
    await gate.restart()
    gate.engine.set_pass_secret(COMMUNITY_SECRET)
    assert await show(gate, text) == "pass_shown"


async def test_the_journal_replays_to_the_same_and_holds_no_secret(gate: Site) -> None:
    code = qr.code_of(of_age(gate, 0))
    for text in (of_age(gate, 0), of_age(gate, 0), of_age(gate, 120), TEXT):
        await show(gate, text)
    events = gate.events(EventKind.ACCESS_GRANTED, EventKind.ACCESS_DENIED)
    assert len(events) == 4
    for event in events:
        assert replay.fault(event, gate.replica.policy) == ""
    written = str([to_data(event) for event in gate.events()])
    for secret in (SECRET, COMMUNITY_SECRET):
        assert secret.hex() not in written
    assert code not in written
    seen = {name: saw for name, _, saw in events[2].data["checks"]}
    assert "code stale" in seen["pass"]
