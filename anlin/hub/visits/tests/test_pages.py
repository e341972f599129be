from __future__ import annotations

import re
from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest
from django.core.cache import cache
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from anlin.hub.console.tests.world import BY, SignIn, make_world
from anlin.hub.visits import bars, limits, links, services
from anlin.hub.visits.models import Answered, Bar, State, Visit
from anlin.hub.visits.queues import appeals, approvals
from anlin.hub.visits.tests.conftest import Visits
from anlin.hub.visits.urls import urlpatterns

pytestmark = pytest.mark.django_db(databases=["default", "events"])

HOUR = timedelta(hours=1)
DESK, MANAGE = {"guo", "meng"}, {"meng"}
STAFF = ("guo", "meng", "committee", "installer", "auditor", "liaison")


def asked_form(visits: Visits, **changed: str) -> dict[str, str]:
    local = timezone.localtime(visits.now, ZoneInfo("Asia/Shanghai"))
    return {
        "home": "1-101",
        "surname": "林",
        "name": "赵来",
        "phone": "13900000002",
        "people": "1",
        "starts_at": local.strftime("%Y-%m-%dT%H:%M"),
        "ends_at": (local + 3 * HOUR).strftime("%Y-%m-%dT%H:%M"),
        "sent_id": "form-1",
        **changed,
    }


# A guest's way, from the question to the gate


def test_a_visitor_asks_lin_taps_once_and_the_page_shows_the_code(
    visits: Visits, stranger: Client
) -> None:
    page = reverse("visits:ask", args=[visits.community.pk])
    assert "Which home" in stranger.get(page).content.decode()
    answer = stranger.post(page, asked_form(visits))
    assert answer.status_code == 302
    waiting = stranger.get(answer["Location"]).content.decode()
    assert "Waits for an answer" in waiting
    assert "turning" not in waiting
    visit = Visit.objects.get()
    link = links.answer_path(visit)
    assert "赵来" in stranger.get(link).content.decode()
    assert Visit.objects.get().state == State.ASKED, "looking answers nothing"
    assert "has the code now" in stranger.post(link, {"answer": "yes"}).content.decode()
    assert stranger.get(link).status_code == 410
    shown = stranger.get(answer["Location"]).content.decode()
    assert 'id="modules"' in shown
    assert "<noscript><meta http-equiv" in shown
    assert "林" not in shown, "the page does not say who lives there"


def test_the_answer_is_the_same_for_a_home_that_is_not_there(
    visits: Visits, stranger: Client
) -> None:
    page = reverse("visits:ask", args=[visits.community.pk])
    seen = []
    for number, (home, surname) in enumerate([("1-101", "林"), ("1-101", "王"), ("8-888", "赵")]):
        form = asked_form(visits, home=home, surname=surname, sent_id=f"form-{number}")
        answer = stranger.post(page, form)
        body = stranger.get(answer["Location"]).content.decode()
        token = answer["Location"].rsplit("/", 1)[1]
        body = body.replace(token, "T")
        seen.append((answer.status_code, re.sub(r'value="[\w-]{40,}"', "", body)))
    assert seen[0] == seen[1] == seen[2]


def test_a_form_posted_twice_leads_to_one_visit(visits: Visits, stranger: Client) -> None:
    page = reverse("visits:ask", args=[visits.community.pk])
    first = stranger.post(page, asked_form(visits))["Location"]
    assert stranger.post(page, asked_form(visits))["Location"] == first
    assert Visit.objects.count() == 1


def test_too_many_questions_are_sent_to_the_guard(visits: Visits, stranger: Client) -> None:
    cache.clear()
    page = reverse("visits:ask", args=[visits.community.pk])
    codes = [
        stranger.post(page, asked_form(visits, sent_id=f"form-{n}")).status_code
        for n in range(limits.PER_ADDRESS + 1)
    ]
    assert codes == [302] * limits.PER_ADDRESS + [429]


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"home": ""}, "Type the number of the home."),
        ({"surname": ""}, "Type the surname of the person you visit."),
        ({"name": ""}, "Type the visitor&#x27;s name."),
        ({"phone": "12"}, "A telephone number has 5 to 15 digits."),
        ({"phone": ""}, "Type your telephone number"),
        ({"plate": "ABC"}, "is no number plate"),
        ({"people": "x"}, "Write a number, such as 2."),
        ({"people": "99"}, "less than or equal to 30"),
        ({"starts_at": "soon"}, "This is not a time."),
        ({"ends_at": ""}, "Choose day and time."),
        ({"ends_at": "2020-01-01T10:00"}, "It would end before it begins."),
    ],
)
def test_each_wrong_field_gets_its_sentence(
    visits: Visits, stranger: Client, changed: dict[str, str], told: str
) -> None:
    page = reverse("visits:ask", args=[visits.community.pk])
    answer = stranger.post(page, asked_form(visits, **changed))
    assert answer.status_code == 422
    assert told in answer.content.decode()


def test_a_closed_form_sends_to_the_host(visits: Visits, stranger: Client) -> None:
    services.set_rules(visits.community, BY, is_form_open=False)
    page = stranger.get(reverse("visits:ask", args=[visits.community.pk]))
    assert page.status_code == 403
    assert "invites you" in page.content.decode()
    assert stranger.get("/visit/c_nowhere").status_code == 404


def test_health_is_asked_for_only_where_it_is_ordered(visits: Visits, stranger: Client) -> None:
    page = reverse("visits:ask", args=[visits.community.pk])
    assert "temperature" not in stranger.get(page).content.decode()
    services.set_rules(visits.community, BY, asks_health=True)
    assert "temperature" in stranger.get(page).content.decode()


def test_the_visitor_s_page_is_private_and_its_code_turns(visits: Visits, stranger: Client) -> None:
    visit = services.invite(
        visits.home, visits.lin, visits.wish(plate="京B88888"), visits.by(visits.lin)
    )
    page = stranger.get(links.page_path(visit))
    assert page["Cache-Control"] == "private, no-store"
    assert page["Referrer-Policy"] == "same-origin"
    assert "京B88888" in page.content.decode()
    assert page.context["turning"]["code"] in (links.shown_now(visit) or "")
    assert stranger.get("/v/not-a-token").status_code == 404
    assert (
        abs(stranger.get(reverse("visits:clock")).json()["now_ms"] / 1000 - visits.now.timestamp())
        < 60
    )
    script = stranger.get(reverse("visits:keeper"))
    assert script["Content-Type"].startswith("text/javascript")


def test_a_visitor_calls_off_and_the_pass_ends(visits: Visits, stranger: Client) -> None:
    visit = services.invite(visits.home, visits.lin, visits.wish(), visits.by(visits.lin))
    stranger.post(reverse("visits:call_off", args=[visit.token]))
    visit.refresh_from_db()
    assert (visit.state, visit.why) == (State.CANCELLED, "by_visitor")
    assert "opens nothing any more" in stranger.get(links.page_path(visit)).content.decode()


def test_a_barred_visitor_may_write_and_reads_no_reason(
    visits: Visits, stranger: Client, sign_in: SignIn
) -> None:
    row = bars.bar(
        visits.community, BY, reason="电梯内打人", until=visits.now + 9 * HOUR, phone="13900000002"
    )
    visit = services.invite(
        visits.home, visits.lin, visits.wish(phone="13900000002"), visits.by(visits.lin)
    )
    page = stranger.get(links.page_path(visit)).content.decode()
    assert "电梯" not in page
    assert "Write to the property office" in page
    stranger.post(reverse("visits:appeal", args=[visit.token]), {"text": "不是我"})
    row.refresh_from_db()
    assert (row.appeal, row.appeal_text) == ("open", "不是我")
    meng = sign_in("meng")
    assert "1 appeal waits" in meng.get(reverse("visits:today")).content.decode()
    url = reverse("visits:bar", args=[row.pk])
    meng.post(url, {"action": "uphold", "text": "有录像"})
    row.refresh_from_db()
    assert (row.appeal, row.answer) == ("upheld", "有录像")
    meng.post(url, {"action": "lift"})
    row.refresh_from_db()
    assert row.ended_at is not None


# The guard


def test_the_guard_sees_today_and_admits_somebody_after_a_call(
    visits: Visits, sign_in: SignIn
) -> None:
    guo = sign_in("guo")
    assert "Nobody is expected today" in guo.get(reverse("visits:today")).content.decode()
    form = {
        "kind": "guest", "home": "1-101", "call": "13800000001", "agreed_by": "林安",
        "name": "赵来", "people": "2", "hours": "4", "sent_id": "form-2",
    }  # fmt: skip
    answer = guo.post(reverse("visits:walk_in"), form)
    visit = Visit.objects.get()
    assert answer["Location"] == reverse("visits:visit", args=[visit.pk])
    assert (visit.state, visit.is_walk_in, visit.people) == (State.EXPECTED, True, 2)
    assert "林安 at home said yes" in guo.get(answer["Location"]).content.decode()
    for action, state in (("arrived", State.INSIDE), ("left", State.DEPARTED)):
        guo.post(reverse("visits:act", args=[visit.pk, action]))
        visit.refresh_from_db()
        assert visit.state == state
    guo.post(reverse("visits:act", args=[visit.pk, "cancel"]))
    visit.refresh_from_db()
    assert visit.is_over


def test_a_home_s_yes_by_telephone_answers_a_question(visits: Visits, sign_in: SignIn) -> None:
    visit = services.ask(visits.community, "1-101", "林", visits.wish())
    guo = sign_in("guo")
    url = reverse("visits:act", args=[visit.pk, "agreed"])
    guo.post(url, {"agreed_by": "林安"})
    visit.refresh_from_db()
    assert visit.state == State.ASKED, "the number that was called is missing"
    guo.post(url, {"agreed_by": "林安", "call": "13800000001"})
    visit.refresh_from_db()
    assert (visit.state, visit.answered_how) == (State.EXPECTED, Answered.CALL)


def test_the_guard_reads_that_the_office_must_approve_and_only_the_office_why(
    visits: Visits, sign_in: SignIn
) -> None:
    bars.bar(
        visits.community, BY, reason="电梯内打人", until=visits.now + HOUR, phone="13900000002"
    )
    visit = services.invite(
        visits.home, visits.lin, visits.wish(phone="13900000002"), visits.by(visits.lin)
    )
    url = reverse("visits:visit", args=[visit.pk])
    guo, meng = (sign_in(name).get(url).content.decode() for name in ("guo", "meng"))
    assert "The office must approve" in guo
    assert "电梯" not in guo
    assert "电梯" in meng
    sign_in("meng").post(reverse("visits:office", args=[visit.pk, "approve"]))
    visit.refresh_from_db()
    assert visit.state == State.EXPECTED


def test_the_rules_are_changed_on_their_page(visits: Visits, sign_in: SignIn) -> None:
    meng = sign_in("meng")
    point = visits.world.points["west"]
    form = {"is_form_open": "on", "kept_days": "14", "parcel_points": [point.pk]}
    assert meng.post(reverse("visits:rules"), form).status_code == 302
    rules = services.rules_of(visits.community)
    assert (rules.kept_days, rules.asks_phone) == (14, False)
    assert [one.pk for one in rules.parcel_points.all()] == [point.pk]
    assert meng.post(reverse("visits:rules"), {**form, "kept_days": "999"}).status_code == 422


# Who may


def address(visits: Visits, name: str) -> str:
    visit = Visit.objects.first() or services.invite(
        visits.home, visits.lin, visits.wish(), visits.by(visits.lin)
    )
    row = Bar.objects.first() or bars.bar(
        visits.community, BY, reason="x", until=visits.now + HOUR, phone="13900000009"
    )
    arguments = {
        "visits:visit": [visit.pk],
        "visits:bar": [row.pk],
        "visits:act": [visit.pk, "cancel"],
        "visits:office": [visit.pk, "approve"],
    }
    return reverse(name, args=arguments.get(name, []))


@pytest.mark.parametrize(
    ("name", "who", "is_post"),
    [
        ("visits:today", DESK, False),
        ("visits:past", DESK, False),
        ("visits:walk_in", DESK, False),
        ("visits:visit", DESK, False),
        ("visits:barred", MANAGE, False),
        ("visits:new_bar", MANAGE, False),
        ("visits:bar", MANAGE, False),
        ("visits:rules", MANAGE, False),
        ("visits:act", DESK, True),
        ("visits:office", MANAGE, True),
    ],
)
def test_each_page_as_each_of_the_staff_a_resident_and_a_stranger(
    visits: Visits, sign_in: SignIn, stranger: Client, name: str, who: set[str], is_post: bool
) -> None:
    url = address(visits, name)
    for member in STAFF:
        if member in who and is_post:
            continue
        client = sign_in(member)
        answer = client.post(url) if is_post else client.get(url)
        assert answer.status_code == (200 if member in who else 403), member
    for client in (stranger, visits.phone(visits.lin)):
        answer = client.post(url) if is_post else client.get(url)
        assert answer.status_code == 302
        assert answer["Location"].startswith("/login")


def test_another_community_s_visit_is_not_there(visits: Visits, sign_in: SignIn) -> None:
    visit = services.invite(visits.home, visits.lin, visits.wish(), visits.by(visits.lin))
    other = make_world("别处")
    meng = sign_in("meng", of=other)
    assert meng.get(reverse("visits:visit", args=[visit.pk])).status_code == 404
    assert meng.post(reverse("visits:act", args=[visit.pk, "cancel"])).status_code == 404


def test_every_address_declares_who_it_is_for() -> None:
    for pattern in urlpatterns:
        view = pattern.callback
        assert getattr(view, "allowed_roles", None) or getattr(view, "public_because", None)


def test_what_waits_for_the_office_is_in_its_queues(visits: Visits) -> None:
    meng = visits.world.staff["meng"]
    assert approvals(meng, visits.now).count == appeals(meng, visits.now).count == 0
    bars.bar(visits.community, BY, reason="x", until=visits.now + 9 * HOUR, phone="13900000002")
    visit = services.invite(
        visits.home, visits.lin, visits.wish(phone="13900000002"), visits.by(visits.lin)
    )
    bars.appeal(visit, "不是我", services.VISITOR)
    assert approvals(meng, visits.now).count == appeals(meng, visits.now).count == 1
