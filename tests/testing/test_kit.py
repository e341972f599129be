from __future__ import annotations

from datetime import UTC, timedelta
from pathlib import Path

import pytest

from anlin.core.access import NORMAL, Reason, decide, point_fault
from anlin.core.entities import Direction, PortalKind
from anlin.core.qr import read
from anlin.edge.clock import Clock
from anlin.testing import shared_folder
from anlin.testing.cast import (
    HOLDERS,
    ISSUER,
    LIN_CARD,
    POINTS,
    PORTALS,
    QIAN_CARD,
    make_policy,
    present,
    qr_text,
    zhao_pass,
)
from anlin.testing.clock import MORNING, FakeClock
from anlin.wire import keys


def test_the_fake_clock_is_a_clock_that_stands_until_it_is_moved():
    fake = FakeClock()
    clock: Clock = fake
    assert clock.now() == clock.now() == MORNING
    assert clock.now().tzinfo is UTC
    assert fake.advance(1.5) == MORNING + timedelta(seconds=1.5)
    assert clock.monotonic() == 1.5


def test_setting_the_clock_back_lets_no_time_pass():
    clock = FakeClock()
    clock.advance(10)
    assert clock.jump(-3600) == MORNING - timedelta(seconds=3590)
    assert clock.monotonic() == 10


def test_time_does_not_run_backwards():
    with pytest.raises(ValueError, match=r"can't advance by -1 s"):
        FakeClock().advance(-1)


def test_the_cast_is_complete_and_its_doors_are_lawful():
    assert [holder.id for holder in HOLDERS] == ["lin", "wang", "zhao", "guo", "meng", "qian"]
    assert {portal.kind for portal in PORTALS} == set(PortalKind)
    assert {point.direction for point in POINTS} == set(Direction)
    assert [point_fault(point) for point in POINTS] == [None] * len(POINTS)


def test_lin_is_let_in_and_qian_is_not():
    policy = make_policy()
    assert decide(policy, present(LIN_CARD), NORMAL, MORNING).reason is Reason.GRANTED
    assert decide(policy, present(QIAN_CARD), NORMAL, MORNING).reason is Reason.RESIDENCY_ENDED


def test_zhaos_pass_is_signed_by_the_community():
    leave = zhao_pass(uses=3)
    assert read(qr_text(leave), {ISSUER.id: ISSUER.public_key}, keys.verify) == leave


def test_the_shared_folder_is_where_the_environment_says(monkeypatch, tmp_path):
    monkeypatch.setenv("ANLIN_SHARED", str(tmp_path))
    assert shared_folder() == tmp_path
    monkeypatch.setenv("ANLIN_SHARED", str(tmp_path / "absent"))
    assert shared_folder() is None


def test_without_a_word_the_shared_folder_stands_beside_the_project(monkeypatch):
    monkeypatch.delenv("ANLIN_SHARED", raising=False)
    beside = Path(__file__).resolve().parents[3] / "shared"
    assert shared_folder() == (beside if beside.is_dir() else None)
