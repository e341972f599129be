from __future__ import annotations

from datetime import timedelta

import pytest
from django.core.cache import cache
from django.test import RequestFactory, override_settings
from django.utils import timezone

from anlin.hub.accounts import limits
from anlin.hub.accounts.limits import Limit
from anlin.hub.accounts.models import Tries

pytestmark = pytest.mark.django_db

FIVE = Limit("test", 5, timedelta(minutes=5))


def test_the_sixth_try_is_refused_and_stays_so_after_a_restart() -> None:
    assert [limits.take(FIVE, "guo") for _ in range(6)] == [True] * 5 + [False]
    cache.clear()  # all that a process keeps to itself
    assert not limits.take(FIVE, "guo")
    assert limits.is_spent(FIVE, "guo")
    assert 290 < limits.wait_s(FIVE, "guo") <= 301
    assert limits.take(FIVE, "meng")


def test_it_begins_anew_when_the_time_is_over_and_refusals_do_not_lengthen_it() -> None:
    for _ in range(9):
        limits.take(FIVE, "guo")
    Tries.objects.update(ends_at=timezone.now() - timedelta(seconds=1))
    assert not limits.is_spent(FIVE, "guo")
    assert limits.take(FIVE, "guo")
    assert Tries.objects.get().count == 1


def test_a_success_forgets_what_failed() -> None:
    for _ in range(5):
        limits.take(FIVE, "guo")
    limits.forget(FIVE, "guo")
    assert limits.take(FIVE, "guo")


def test_neither_name_nor_address_stands_in_the_table_and_what_is_over_is_swept() -> None:
    limits.take(FIVE, "13800000001")
    assert "138" not in Tries.objects.get().key
    Tries.objects.update(ends_at=timezone.now() - timedelta(seconds=1))
    limits.take(FIVE, "another")
    assert Tries.objects.count() == 1


def test_the_address_is_the_peer_s_unless_our_own_proxy_names_another() -> None:
    request = RequestFactory().get("/", headers={"X-Forwarded-For": "203.0.113.7, 198.51.100.9"})
    assert limits.address_of(request) == "127.0.0.1"
    with override_settings(IS_BEHIND_PROXY=True):
        assert limits.address_of(request) == "198.51.100.9"


def test_an_address_that_everybody_shares_has_room_for_everybody() -> None:
    one = Limit("page", 1, timedelta(minutes=1))
    shared = RequestFactory().get("/")
    assert all(limits.take_of_address(one, shared) for _ in range(limits.SHARED_FACTOR))
    assert not limits.take_of_address(one, shared)
    assert limits.address_is_spent(one, shared)
    alone = RequestFactory(REMOTE_ADDR="198.51.100.9").get("/")
    assert limits.take_of_address(one, alone)
    assert not limits.take_of_address(one, alone)
