"""From a stored message to a phone: over real sockets, with a clock that moves by hand."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction
from django.test import Client
from django.utils import timezone, translation

from anlin.hub.audit.log import Actor
from anlin.hub.notices import delivery, devices, services
from anlin.hub.notices.models import (
    Attempt,
    BySms,
    Came,
    Delivery,
    Kind,
    PushDevice,
    Stand,
    Via,
    Wishes,
)
from anlin.hub.notices.tests.conftest import Gateway
from anlin.hub.people import services as people
from anlin.hub.people.models import Holder
from anlin.hub.resident.tests.conftest import Street
from anlin.notify.webpush.standin import Browser, PushService

pytestmark = pytest.mark.django_db(databases=["default", "events"])

BY = Actor.command("test")


def told(holder: Holder, key: str = "visit/1", kind: Kind = Kind.VISIT_ASKED) -> Delivery:
    made = services.tell(holder, kind, "赵来求访", "今天 18:00。", "/home/visitors/vi_1", key)
    assert made is not None
    return made


def phone_of(service: PushService, holder: Holder) -> Browser:
    browser = service.browser()
    devices.add(holder, browser.subscription(service.base), "Chrome · Android", BY)
    return browser


@pytest.fixture
def lin(street: Street) -> Holder:
    return street.people["lin"]


def test_the_same_fact_told_twice_is_one_message(lin: Holder) -> None:
    told(lin)
    assert services.tell(lin, Kind.VISIT_ASKED, "again", "again", "/home/", "visit/1") is None
    assert Delivery.objects.count() == 1


def test_a_message_is_there_only_if_what_it_tells_is(lin: Holder) -> None:
    def act() -> None:
        with transaction.atomic():
            told(lin)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        act()
    assert not Delivery.objects.exists()


def test_who_has_left_is_told_nothing(street: Street) -> None:
    assert services.tell(street.people["qian"], Kind.ANSWERED, "a", "b", "/", "k") is None


@pytest.mark.parametrize(("language", "word"), [("en", "Yes"), ("zh-hans", "是")])
def test_texts_are_made_in_the_language_of_who_reads_them(
    lin: Holder, language: str, word: str
) -> None:
    lin.login.language = language
    lin.login.save()
    made = services.tell(
        lin,
        Kind.ANSWERED,
        lambda: "是" if translation.get_language() == "zh-hans" else "Yes",
        "x",
        "/home/",
        "k",
    )
    assert made is not None
    assert made.title == word


def test_a_push_message_that_the_phone_shows_ends_there(
    service: PushService, gateway: Gateway, lin: Holder
) -> None:
    browser = phone_of(service, lin)
    row = told(lin)
    now = timezone.now()
    assert delivery.step(now) == 1
    assert browser.got[0]["title"] == "赵来求访"
    assert browser.got[0]["url"] == f"/home/notices/m/{row.pk}"
    assert browser.headers[0]["Urgency"] == "high"
    row.refresh_from_db()
    assert (row.stand, row.via) == (Stand.SENT, Via.PUSH)
    code = browser.got[0]["receipt"]
    assert Client(enforce_csrf_checks=True).post(f"/home/push/got/{code}").status_code == 204
    assert delivery.step(now + timedelta(hours=1)) == 0
    row.refresh_from_db()
    assert row.stand == Stand.REACHED
    assert not gateway.got
    assert len(browser.got) == 1


def test_a_message_that_no_phone_shows_goes_by_text_message_once(
    service: PushService, gateway: Gateway, lin: Holder
) -> None:
    phone_of(service, lin)
    row = told(lin)
    now = timezone.now()
    delivery.step(now)
    assert delivery.step(now + timedelta(seconds=60)) == 0
    later = now + delivery.CONFIRM_URGENT
    while delivery.step(later):
        pass
    assert [sent["to"] for sent in gateway.got] == ["13800000001"]
    assert "赵来求访" in gateway.got[0]["text"]
    row.refresh_from_db()
    assert (row.stand, row.via) == (Stand.REACHED, Via.SMS)


def test_what_is_not_urgent_costs_no_text_message_unless_wished(
    gateway: Gateway, lin: Holder
) -> None:
    quiet = told(lin, "a", Kind.ANSWERED)
    delivery.deliver()
    quiet.refresh_from_db()
    assert quiet.stand == Stand.UNREACHED
    Wishes.objects.create(holder=lin, by_sms=BySms.ALWAYS)
    told(lin, "b", Kind.ANSWERED)
    delivery.deliver()
    assert len(gateway.got) == 1
    Wishes.objects.update(by_sms=BySms.NEVER)
    told(lin, "c", Kind.KEY_LOST)
    delivery.deliver()
    assert len(gateway.got) == 1


def test_a_browser_that_gave_up_is_forgotten_and_the_next_way_tried_at_once(
    service: PushService, gateway: Gateway, lin: Holder
) -> None:
    phone_of(service, lin).status = 410
    told(lin)
    delivery.deliver()
    assert not PushDevice.objects.exists()
    assert len(gateway.got) == 1


def test_a_push_service_that_is_down_is_tried_again_then_the_next_way(
    service: PushService, gateway: Gateway, lin: Holder
) -> None:
    browser = phone_of(service, lin)
    browser.status = 503
    row = told(lin)
    now = timezone.now()
    delivery.step(now)
    assert delivery.step(now + timedelta(seconds=5)) == 0
    row.refresh_from_db()
    assert (row.stand, row.tries) == (Stand.WAITING, 1)
    browser.status = 201
    delivery.step(now + delivery.BACKOFF[0])
    assert len(browser.got) == 1
    assert not gateway.got


def test_of_two_devices_each_gets_it_and_one_that_has_it_gets_it_once(
    service: PushService, lin: Holder
) -> None:
    one, other = phone_of(service, lin), phone_of(service, lin)
    told(lin)
    delivery.deliver()
    assert (len(one.got), len(other.got)) == (1, 1)


def test_a_text_message_whose_answer_was_lost_is_never_sent_again(
    gateway: Gateway, lin: Holder
) -> None:
    gateway.status = 502
    row = told(lin)
    now = timezone.now()
    for minutes in range(0, 60, 5):
        delivery.step(now + timedelta(minutes=minutes))
    row.refresh_from_db()
    assert row.stand == Stand.UNREACHED
    assert [one.came for one in row.attempts.all()] == [Came.UNKNOWN]


def test_a_gateway_that_is_sure_not_to_have_taken_it_is_asked_again(
    gateway: Gateway, lin: Holder
) -> None:
    gateway.status = 429
    told(lin)
    now = timezone.now()
    delivery.step(now)
    gateway.status = 200
    delivery.step(now + delivery.BACKOFF[0])
    assert len(gateway.got) == 1


def test_a_second_text_message_for_one_fact_can_not_even_be_begun(lin: Holder) -> None:
    row = told(lin)
    now = timezone.now()
    Attempt.objects.create(delivery=row, via=Via.SMS, begun_at=now)
    with pytest.raises(IntegrityError), transaction.atomic():
        Attempt.objects.create(delivery=row, via=Via.SMS, begun_at=now)


def test_a_text_message_that_was_begun_by_a_killed_worker_is_not_begun_again(
    gateway: Gateway, lin: Holder
) -> None:
    row = told(lin)
    now = timezone.now()
    (claimed,) = delivery.claim(now)
    assert len(delivery.begin(claimed, now)) == 1
    # Here the process dies: nothing was judged.
    assert delivery.step(now + timedelta(seconds=1)) == 0
    while delivery.step(now + delivery.CLAIM):
        pass
    assert not gateway.got
    row.refresh_from_db()
    assert row.stand == Stand.UNREACHED
    assert row.attempts.get().came == Came.UNKNOWN


def test_a_push_message_that_was_begun_by_a_killed_worker_is_sent_again(
    service: PushService, lin: Holder
) -> None:
    browser = phone_of(service, lin)
    row = told(lin)
    now = timezone.now()
    (claimed,) = delivery.claim(now)
    delivery.begin(claimed, now)
    delivery.step(now + delivery.CLAIM)
    row.refresh_from_db()
    assert len(browser.got) == 1
    assert row.stand == Stand.SENT


def test_two_workers_never_claim_the_same_message(lin: Holder) -> None:
    for number in range(5):
        told(lin, f"k{number}")
    now = timezone.now()
    first, second = delivery.claim(now, 3), delivery.claim(now, 3)
    assert len(first) == 3
    assert len(second) == 2
    assert not {row.pk for row in first} & {row.pk for row in second}


def test_who_moved_out_meanwhile_gets_nothing(
    service: PushService, gateway: Gateway, lin: Holder
) -> None:
    browser = phone_of(service, lin)
    row = told(lin)
    people.move_out(lin, BY)
    delivery.deliver()
    row.refresh_from_db()
    assert row.stand == Stand.WITHDRAWN
    assert not browser.got
    assert not gateway.got


def test_what_nobody_needs_to_hear_any_more_is_not_sent(service: PushService, lin: Holder) -> None:
    browser = phone_of(service, lin)
    told(lin)
    delivery.step(timezone.now() + timedelta(days=2))
    assert not browser.got


def test_opening_the_page_ends_the_chain(
    service: PushService, gateway: Gateway, street: Street, lin: Holder
) -> None:
    phone_of(service, lin)
    row = told(lin)
    delivery.step()
    answer = street.phone("lin").get(f"/home/notices/m/{row.pk}")
    assert answer["Location"] == "/home/visitors/vi_1"
    delivery.step(timezone.now() + timedelta(hours=1))
    assert not gateway.got
    row.refresh_from_db()
    assert row.seen_at is not None


def test_a_browser_of_a_new_owner_shows_nothing_of_the_old_one(
    service: PushService, street: Street, lin: Holder
) -> None:
    wang = street.people["wang"]
    browser = service.browser()
    for holder in (lin, wang):
        devices.add(holder, browser.subscription(service.base), "Chrome", BY)
    assert PushDevice.objects.get().holder == wang


def test_old_messages_are_deleted(lin: Holder) -> None:
    row = told(lin)
    Attempt.objects.create(delivery=row, via=Via.SMS, begun_at=timezone.now())
    assert services.forget_old(timezone.now() + services.KEPT + timedelta(days=1)) == 1
    assert not Attempt.objects.exists()
