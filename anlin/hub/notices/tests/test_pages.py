"""Notices from writing to reading, and who may."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from django.core.cache import cache
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from anlin.hub.access.credentials import mark_lost
from anlin.hub.accounts.services import set_buildings
from anlin.hub.audit.log import Actor
from anlin.hub.audit.models import View
from anlin.hub.errors import RuleError
from anlin.hub.join import services as join
from anlin.hub.notices import board, devices, events, services, wishes
from anlin.hub.notices.models import (
    Audience,
    BySms,
    Delivery,
    Kind,
    Notice,
    NoticeState,
    PushDevice,
    Stand,
    Wishes,
)
from anlin.hub.people import services as people
from anlin.hub.people.models import Proof, Residency, ResidencyKind
from anlin.hub.resident.tests.conftest import Street
from anlin.hub.visits import services as visits
from anlin.notify.webpush.standin import Browser

pytestmark = pytest.mark.django_db(databases=["default", "events"])

BY = Actor.command("test")
FORM = {"title": "停水通知", "text": "今晚八点停水。", "audience": "all", "sent": "form-1"}


@pytest.fixture(autouse=True)
def _fresh() -> None:
    cache.clear()


def written(street: Street, **more: object) -> Notice:
    meng = street.world.staff["meng"]
    draft = board.Draft("停水通知", "今晚八点停水。", **more)  # type: ignore[arg-type]
    return board.write(meng, draft, BY, sent_id=f"s{Notice.objects.count()}")


def published(street: Street, **more: object) -> Notice:
    notice = written(street, **more)
    board.publish(notice, BY)
    notice.refresh_from_db()
    return notice


def staff(street: Street, name: str) -> Client:
    client = Client(headers={"accept-language": "en"})
    client.force_login(street.world.staff[name].user)
    return client


def test_a_notice_is_written_previewed_published_once_and_read(street: Street) -> None:
    meng = staff(street, "meng")
    first = meng.post(reverse("notices:new"), FORM)
    again = meng.post(reverse("notices:new"), FORM)
    assert first["Location"] == again["Location"]
    assert "It goes to 2 people." in meng.get(first["Location"]).content.decode()
    assert not Delivery.objects.exists()
    notice = Notice.objects.get()
    for _ in range(2):
        meng.post(reverse("notices:publish", args=[notice.pk]))
    assert Delivery.objects.count() == 2
    lin = street.phone("lin")
    assert "New to you" in lin.get("/home/notices").content.decode()
    for _ in range(2):
        assert "今晚八点停水。" in lin.get(f"/home/notices/{notice.pk}").content.decode()
    notice.refresh_from_db()
    counts = board.counts(notice)
    assert (counts["recipients"], counts["read"], counts["open"]) == (2, 1, 1)
    edited = meng.post(reverse("notices:edit", args=[notice.pk]), FORM | {"text": "other"})
    assert edited.status_code == 302
    notice.refresh_from_db()
    assert notice.text == "今晚八点停水。"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"title": " "}, "title"),
        ({"title": "名" * 61}, "title"),
        ({"text": ""}, "text"),
        ({"text": "长" * 2001}, "text"),
        ({"audience": "everybody"}, "audience"),
        ({"audience": "buildings"}, "buildings"),
        ({"audience": "buildings", "buildings": "b_none"}, "buildings"),
        ({"audience": "homes", "homes": ""}, "homes"),
        ({"audience": "homes", "homes": "1-101, 9-999"}, "homes"),
        ({"publish_at": "soon"}, "publish_at"),
        ({"publish_at": "2099-01-01T00:00"}, "publish_at"),
        ({"expires_at": "2020-01-01T00:00"}, "expires_at"),
        ({"expires_at": "2099-01-01T00:00"}, "expires_at"),
        ({"sent": ""}, "sent"),
    ],
)
def test_each_wrong_field_is_named(street: Street, change: dict[str, str], field: str) -> None:
    answer = staff(street, "meng").post(reverse("notices:new"), FORM | change)
    assert answer.status_code == 422
    assert field in answer.context["form"].errors
    assert not Notice.objects.exists()


def test_a_notice_reaches_its_homes_and_no_others(street: Street) -> None:
    home = street.people["lin"].residencies.get().unit
    notice = published(street, audience=Audience.HOMES, units=[home])
    assert [row.holder for row in notice.deliveries.all()] == [street.people["lin"]]
    assert street.phone("lin").get(f"/home/notices/{notice.pk}").status_code == 200
    for name in ("wang",):
        assert street.phone(name).get(f"/home/notices/{notice.pk}").status_code == 404
        assert "停水通知" not in street.phone(name).get("/home/notices").content.decode()


def test_owners_only_and_buildings_are_what_they_say(street: Street) -> None:
    owners = published(street, owners_only=True)
    assert {row.holder for row in owners.deliveries.all()} == {street.people["lin"]}
    building = street.people["lin"].residencies.get().unit.building
    all_in = published(street, audience=Audience.BUILDINGS, buildings=[building])
    assert all_in.recipients == 2
    seen = set(board.notices_for(street.people["wang"], timezone.now()))
    assert seen == {all_in}


def test_children_under_14_are_not_written_to(street: Street) -> None:
    street.born("wang", 10)
    assert published(street).recipients == 1


@pytest.mark.parametrize("who", ["wang", "zhao", "qian", "guo", "meng", "nobody", "sun"])
def test_residents_pages_show_each_their_own(street: Street, who: str) -> None:
    row = services.tell(street.people["lin"], Kind.ANSWERED, "Lin's own", "x", "/home/family", "k")
    assert row is not None
    device = devices.add(
        street.people["lin"], Browser("/x").subscription("https://push.example.com"), "Chrome", BY
    )
    phone = street.phone(who)
    assert "Lin" not in phone.get("/home/notices").content.decode()
    assert phone.get(f"/home/notices/m/{row.pk}").status_code in (302, 403, 404)
    row.refresh_from_db()
    assert row.seen_at is None
    phone.post(reverse("home_notices:push_off", args=[device.pk]))
    assert PushDevice.objects.filter(pk=device.pk).exists()
    status = phone.get("/home/push").status_code
    assert status == 200 if who == "wang" else status in (302, 403)


def test_a_withdrawn_notice_says_so_and_nothing_more_of_it_is_sent(street: Street) -> None:
    notice = published(street)
    meng = staff(street, "meng")
    for _ in range(2):
        meng.post(reverse("notices:withdraw", args=[notice.pk]), {"why": "水已恢复"})
    text = street.phone("lin").get(f"/home/notices/{notice.pk}").content.decode()
    assert "withdrawn" in text
    assert "水已恢复" in text
    assert "今晚八点停水" not in text
    assert set(notice.deliveries.values_list("stand", flat=True)) == {Stand.WITHDRAWN}


def test_a_notice_waits_for_its_time_and_goes_when_that_is_over(street: Street) -> None:
    now = timezone.now()
    notice = published(
        street, publish_at=now + timedelta(hours=1), expires_at=now + timedelta(hours=2)
    )
    assert notice.state == NoticeState.PLANNED
    assert board.publish_due(now) == 0
    assert "停水" not in street.phone("lin").get("/home/notices").content.decode()
    assert board.publish_due(now + timedelta(hours=1)) == 1
    assert board.publish_due(now + timedelta(hours=1)) == 0
    lin = street.people["lin"]
    assert board.notices_for(lin, now + timedelta(minutes=90)).count() == 1
    assert board.notices_for(lin, now + timedelta(hours=3)).count() == 0


def test_who_was_not_reached_is_listed_the_elderly_with_their_telephone(street: Street) -> None:
    street.born("lin", 75)
    notice = published(street)
    page = staff(street, "meng").get(reverse("notices:missed", args=[notice.pk]))
    text = page.content.decode()
    assert text.index("林安") < text.index("王宁")
    assert "tel:13800000001" in text
    assert View.objects.filter(purpose="notice not reached").count() == 2
    street.phone("lin").get(f"/home/notices/{notice.pk}")
    again = staff(street, "meng").get(reverse("notices:missed", args=[notice.pk]))
    assert "林安" not in again.content.decode()


def test_staff_of_one_building_write_to_it_alone(street: Street) -> None:
    meng = street.world.staff["meng"]
    everywhere = published(street)
    other = people.add_building(street.world.community, "2 号楼", BY)
    set_buildings(meng, [other], BY)
    meng = type(meng).objects.get(pk=meng.pk)
    with pytest.raises(RuleError):
        board.write(meng, board.Draft("a", "b"), BY, sent_id="x")
    answer = staff(street, "meng").post(reverse("notices:withdraw", args=[everywhere.pk]))
    assert answer.status_code == 404


def test_nothing_of_another_community_is_reached(street: Street) -> None:
    notice = published(street)
    from anlin.hub.console.tests.world import make_world

    other = make_world("邻村")
    client = Client()
    client.force_login(other.staff["meng"].user)
    assert client.get(reverse("notices:notice", args=[notice.pk])).status_code == 404
    assert client.post(reverse("notices:withdraw", args=[notice.pk])).status_code == 404


def test_a_device_is_switched_on_by_its_own_script_and_off_without_one(street: Street) -> None:
    lin = street.phone("lin")
    good = Browser("/x").subscription("https://push.example.com")
    bad = good | {"endpoint": "https://192.168.1.1/x"}
    for body, status in ((json.dumps(bad), 422), ("{", 400), ("x" * 5000, 413)):
        answer = lin.post("/home/push/on", body, content_type="application/json")
        assert answer.status_code == status
    answer = lin.post("/home/push/on", json.dumps(good), content_type="application/json")
    assert answer.status_code == 200
    assert "this device" in lin.get("/home/push").content.decode()
    lin.post("/home/push/test")
    assert Delivery.objects.get().kind == Kind.TEST
    lin.post(reverse("home_notices:push_off", args=[PushDevice.objects.get().pk]))
    assert not PushDevice.objects.exists()


def test_logging_out_ends_the_messages_of_that_browser(street: Street) -> None:
    lin = street.phone("lin")
    good = Browser("/x").subscription("https://push.example.com")
    lin.post("/home/push/on", json.dumps(good), content_type="application/json")
    lin.post("/home/logout")
    assert not PushDevice.objects.exists()


def test_a_mail_address_counts_once_its_owner_has_confirmed_it(street: Street) -> None:
    lin, wang = street.people["lin"], street.people["wang"]
    Wishes.objects.create(holder=lin, by_sms=BySms.NEVER, mail="lin@example.net")
    token = wishes.token_of(lin, "lin@example.net")
    for phone in ("wang", "zhao"):
        street.phone(phone).post(f"/home/push/mail/{token}")
    street.phone("lin").get(f"/home/push/mail/{token}")
    assert Wishes.objects.get().mail_confirmed_at is None
    with pytest.raises(RuleError):
        wishes.confirm(wang, token, BY)
    street.phone("lin").post(f"/home/push/mail/{token}")
    assert Wishes.objects.get().mail_confirmed_at is not None


def told_to(street: Street, name: str) -> list[str]:
    return [row.kind for row in services.messages_of(street.people[name]).order_by("made_at")]


def test_a_home_hears_of_who_asks_and_who_came_and_the_neighbour_does_not(street: Street) -> None:
    now = timezone.now()
    visits.set_rules(street.world.community, BY, is_form_open=True)
    wish = visits.Wish("赵来", now, now + timedelta(hours=2))
    visit = visits.ask(street.world.community, "1-101", "林", wish, sent_id="v1")
    visits.ask(street.world.community, "1-101", "林", wish, sent_id="v1")
    assert told_to(street, "lin") == [Kind.VISIT_ASKED]
    visits.approve(visit, BY, host=street.people["lin"])
    visits.arrive(visit, now + timedelta(minutes=1))
    assert told_to(street, "lin") == [Kind.VISIT_ASKED, Kind.VISIT_CAME]
    assert told_to(street, "wang") == []


def test_an_owner_hears_of_a_request_and_a_tenant_of_the_answer(street: Street) -> None:
    unit = street.people["lin"].residencies.get().unit
    asked = join.Asked("赵小", "13900002202", ResidencyKind.FAMILY, "p1")
    application, _secret = join.apply(unit, asked)
    assert told_to(street, "lin") == [Kind.OWNER_ASKED]
    lin = street.people["lin"]
    join.owner_answers(application, lin, Actor.resident(lin), is_agreed=True)
    holder = join.approve(application, BY, proof=Proof.OWNER)
    assert [row.kind for row in services.messages_of(holder)] == [Kind.ANSWERED]


def test_a_lost_card_is_told_to_whose_it_is(street: Street) -> None:
    card = street.people["lin"].credentials.filter(method="card").get()
    mark_lost(card, BY)
    assert told_to(street, "lin") == [Kind.KEY_LOST]


def test_a_lease_is_foretold_a_month_and_a_week_before_once_each(street: Street) -> None:
    now = timezone.now()
    unit = street.people["lin"].residencies.get().unit
    tenant = street.moves_in(
        "tenant",
        "孙新",
        unit=unit,
        residency=ResidencyKind.TENANT,
        ends_at=now + timedelta(days=29),
    )
    assert Residency.objects.filter(holder=tenant).exists()
    for days in (0, 0, 10, 23, 25):
        events.foretell_leases(now + timedelta(days=days))
    assert told_to(street, "tenant") == [Kind.LEASE_ENDS] * 2
    assert told_to(street, "lin") == [Kind.LEASE_ENDS] * 2
