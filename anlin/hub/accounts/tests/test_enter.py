"""The ways in, page by page, as a browser without script takes them."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from django.core.cache import cache
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from anlin.hub.accounts import mfa, services, sessions
from anlin.hub.accounts.enter import SECRET
from anlin.hub.accounts.models import FactorDue, SignIn, Tries
from anlin.hub.audit.models import Change
from anlin.hub.console.tests.world import BY, World
from anlin.hub.console.tests.world import SignIn as SignInAs
from anlin.hub.people import services as people
from anlin.hub.people.models import Role
from anlin.notify.base import Message

pytestmark = pytest.mark.django_db(databases=["default", "events"])


def totp_now(secret: str, step: int = 0) -> str:
    return str(format_hotp_value(hotp_value(secret, int(time.time()) // 30 + step)))


def browser() -> Client:
    return Client(
        headers={
            "accept-language": "en",
            "user-agent": "Mozilla/5.0 (Linux; Android 14) Chrome/126",
        }
    )


def post_password(client: Client, world: World, name: str, onward: str = "/points") -> Any:
    given = {"username": name, "password": world.passwords[name], "next": onward}
    return client.post("/login", given)


def is_in(client: Client) -> bool:
    return client.get("/account").status_code == 200


def with_totp(world: World, name: str) -> str:
    secret = mfa.new_secret()
    mfa.add_totp(world.staff[name].user, secret, totp_now(secret, -1))
    return secret


# Staff


def test_the_password_alone_lets_nobody_in_who_has_a_second_factor(world: World) -> None:
    secret = with_totp(world, "guo")
    client = browser()
    answer = post_password(client, world, "guo")
    assert answer["Location"] == "/login/second"
    assert not is_in(client)
    wrong = client.post("/login/second", {"code": "000000"})
    assert wrong.status_code == 422
    assert "does not fit" in wrong.content.decode()
    assert not is_in(client)
    right = client.post("/login/second", {"code": totp_now(secret)})
    assert right["Location"] == "/points"
    assert is_in(client)
    assert SignIn.objects.get(ended_at=None).how == "totp"


def test_a_code_that_was_used_is_not_taken_again_even_after_a_restart(world: World) -> None:
    secret = with_totp(world, "guo")
    code = totp_now(secret)
    first, second = browser(), browser()
    for client in (first, second):
        post_password(client, world, "guo")
    first.post("/login/second", {"code": code})
    cache.clear()
    assert second.post("/login/second", {"code": code}).status_code == 422
    assert not is_in(second)


def test_five_wrong_codes_make_even_the_right_one_wait_in_every_browser(world: World) -> None:
    secret = with_totp(world, "guo")
    client = browser()
    post_password(client, world, "guo")
    for _ in range(5):
        client.post("/login/second", {"code": "000000"})
    cache.clear()
    other = browser()
    post_password(other, world, "guo")
    answer = other.post("/login/second", {"code": totp_now(secret)})
    assert "Too many wrong codes" in answer.content.decode()
    Tries.objects.update(ends_at=timezone.now())
    assert other.post("/login/second", {"code": totp_now(secret)}).status_code == 302


def test_a_recovery_code_opens_once_and_says_how_many_are_left(world: World) -> None:
    with_totp(world, "guo")
    codes = mfa.new_recovery_codes(world.staff["guo"].user)
    assert len(set(codes)) == 10
    client = browser()
    post_password(client, world, "guo", "/account")
    answer = client.post("/login/second", {"code": f"{codes[0][:4]} {codes[0][4:]}"}, follow=True)
    assert "9 are left" in answer.content.decode()
    again = browser()
    post_password(again, world, "guo")
    assert again.post("/login/second", {"code": codes[0]}).status_code == 422


def test_a_password_that_waits_too_long_or_was_changed_is_asked_again(world: World) -> None:
    secret = with_totp(world, "guo")
    client = browser()
    post_password(client, world, "guo")
    people.new_password(world.staff["guo"], BY)
    answer = client.post("/login/second", {"code": totp_now(secret)})
    assert answer["Location"] == "/login"
    assert browser().get("/login/second")["Location"] == "/login"
    assert browser().post("/login/enrol/begin").status_code == 422


def test_a_manager_has_seven_days_and_then_nothing_opens_before_it_is_set_up(world: World) -> None:
    client = browser()
    answer = post_password(client, world, "meng", "/account")
    assert answer["Location"] == "/account"
    assert "needs a second factor" in client.get("/account").content.decode()
    due = FactorDue.objects.get().due_at
    assert timedelta(days=6, hours=23) < due - timezone.now() <= timedelta(days=7)
    FactorDue.objects.update(due_at=timezone.now())

    late = browser()
    assert post_password(late, world, "meng", "/account")["Location"] == "/login/enrol"
    assert not is_in(late)
    page = late.get("/login/enrol").content.decode()
    secret = late.session[SECRET]
    assert secret[:4] in page
    assert late.post("/login/enrol", {"code": "000000"}).status_code == 422
    assert not is_in(late)
    done = late.post("/login/enrol", {"code": totp_now(secret)}, follow=True)
    assert done.request["PATH_INFO"] == "/account/codes"
    assert done.content.decode().count("<li>") >= 10
    assert late.get("/account/codes").status_code == 302, "shown once"
    assert is_in(late)
    assert mfa.due_of(world.staff["meng"]) is None


def test_a_guard_need_not_and_a_community_may_say_otherwise(world: World) -> None:
    assert mfa.due_of(world.staff["guo"]) is None
    services.set_factor_rule(world.community, [Role.GUARD], 0, BY)
    client = browser()
    assert post_password(client, world, "guo")["Location"] == "/login/enrol"
    assert mfa.due_of(world.staff["meng"]) is None


def test_the_overdue_can_t_set_up_a_second_one_over_the_first(world: World) -> None:
    services.set_factor_rule(world.community, [Role.GUARD], 0, BY)
    client = browser()
    post_password(client, world, "guo")
    with_totp(world, "guo")
    assert client.get("/login/enrol")["Location"] == "/login/second"
    answer = client.post("/login/enrol/finish", "{}", content_type="application/json")
    assert answer.status_code == 422
    assert not is_in(client)


def test_wrong_passwords_are_still_counted_after_a_restart(world: World) -> None:
    client = browser()
    for _ in range(5):
        client.post("/login", {"username": "guo", "password": "wrong"})
    cache.clear()
    answer = post_password(client, world, "guo")
    assert "Too many wrong tries" in answer.content.decode()


def test_secrets_stand_closed_in_the_database(world: World) -> None:
    secret = with_totp(world, "guo")
    mfa.new_recovery_codes(world.staff["guo"].user)
    rows = list(
        Authenticator.objects.filter(user=world.staff["guo"].user).values_list("data", flat=True)
    )
    assert secret not in str(rows)
    assert all(len(str(row)) > 60 for row in rows)


# Residents


def test_a_resident_logs_in_by_number_and_code(world: World, sent: list[Message]) -> None:
    client = browser()
    assert "Send me a code" in client.get("/home/login").content.decode()
    answer = client.post("/home/login", {"phone": "138 0000 0001", "next": "/home/doors"})
    assert answer["Location"] == "/home/login/code"
    page = client.get("/home/login/code").content.decode()
    assert "0001" in page
    assert "138000" not in page
    code = sent[0].values["code"]
    wrong = f"{(int(code) + 1) % 10**6:06d}"
    assert client.post("/home/login/code", {"code": wrong}).status_code == 422
    answer = client.post("/home/login/code", {"code": code})
    assert answer["Location"] == "/home/doors"
    assert client.get("/home/").status_code == 200
    session = SignIn.objects.get(ended_at=None)
    assert (session.how, session.device) == ("sms", "Chrome · Android")
    assert client.session.get_expiry_age() > 30 * 24 * 3600


def test_an_unknown_number_sees_the_same_pages(world: World, sent: list[Message]) -> None:
    pages = []
    for number in ("13800000001", "13900000001"):
        client = browser()
        asked = client.post("/home/login", {"phone": number})
        shown = client.get(asked["Location"])
        wrong = client.post("/home/login/code", {"code": "00"})
        pages.append((asked.status_code, asked["Location"], len(shown.content), wrong.status_code))
        client.post("/home/login/code", {"code": "12345"})
    assert pages[0] == pages[1]
    assert len(sent) == 1


def test_a_family_with_one_telephone_is_asked_who_it_is(world: World, sent: list[Message]) -> None:
    people.change_holder(world.people["wang"], BY, phone="13800000001")
    client = browser()
    client.post("/home/login", {"phone": "13800000001"})
    answer = client.post("/home/login/code", {"code": sent[0].values["code"]})
    assert answer["Location"] == "/home/login/who"
    page = client.get("/home/login/who").content.decode()
    assert "林安" in page
    assert "1-102" in page
    stranger = world.people["qian"].pk
    assert client.post("/home/login/who", {"holder": stranger}).status_code == 200
    assert client.get("/home/login/mine").status_code == 302
    answer = client.post("/home/login/who", {"holder": world.people["wang"].pk})
    assert answer["Location"] == "/home/"
    assert SignIn.objects.get(ended_at=None).user.resident_profile.holder == world.people["wang"]


def test_nobody_chooses_a_name_without_the_code(world: World) -> None:
    client = browser()
    answer = client.post("/home/login/who", {"holder": world.people["lin"].pk})
    assert answer["Location"] == "/home/login"
    assert client.get("/home/login/code")["Location"] == "/home/login"


@pytest.mark.parametrize(
    "onward", ["https://elsewhere.example/", "//elsewhere.example", "/holders"]
)
def test_the_residents_log_in_leads_to_their_pages_only(
    world: World, sent: list[Message], onward: str
) -> None:
    client = browser()
    client.post("/home/login", {"phone": "13800000001", "next": onward})
    answer = client.post("/home/login/code", {"code": sent[0].values["code"]})
    assert answer["Location"] == "/home/"


def test_without_a_gateway_the_page_says_so(world: World) -> None:
    page = browser().get("/home/login").content.decode()
    assert "ask the property office" in page
    answer = browser().post("/home/login", {"phone": "13800000001"})
    assert answer.status_code == 422


def test_the_page_says_that_the_code_is_in_the_log_in_development_only(
    world: World, settings: object, sent: list[Message], monkeypatch: pytest.MonkeyPatch
) -> None:
    client = browser()
    client.post("/home/login", {"phone": "13800000001"})
    assert "Development" not in client.get("/home/login/code").content.decode()
    settings.SMS_MODE = "console"  # type: ignore[attr-defined]
    assert "Development" in client.get("/home/login/code").content.decode()


@pytest.mark.parametrize("what", ["suspend", "move out", "lease over"])
def test_who_is_out_is_out_at_once(world: World, what: str) -> None:
    lin = world.people["lin"]
    client = browser()
    client.force_login(services.resident_login(lin, BY).user)
    assert client.get("/home/login/mine").status_code == 200
    match what:
        case "suspend":
            people.suspend_holder(lin, BY)
        case "move out":
            people.move_out(lin, BY)
        case _:
            people.end_residency(lin.residencies.get(), BY)
    assert client.get("/home/login/mine").status_code in (302, 403)
    if what != "lease over":
        assert not SignIn.objects.filter(ended_at=None).exists()


# Sessions and the password


def test_sessions_are_listed_and_each_can_be_ended(world: World) -> None:
    phone, desk = browser(), browser()
    for client in (phone, desk):
        post_password(client, world, "guo")
    page = desk.get("/account").content.decode()
    assert page.count("Chrome · Android") == 2
    assert "127.0.0.1" in page
    other = SignIn.objects.exclude(session_key=desk.session.session_key).get()
    desk.post(reverse("accounts:end_session", args=[other.pk]))
    assert not is_in(phone)
    assert is_in(desk)
    post_password(phone, world, "guo")
    desk.post(reverse("accounts:end_others"))
    assert not is_in(phone)
    assert is_in(desk)


def test_nobody_ends_the_session_of_another(world: World) -> None:
    guo, meng = browser(), browser()
    post_password(guo, world, "guo")
    post_password(meng, world, "meng")
    theirs = SignIn.objects.get(user=world.staff["meng"].user)
    assert guo.post(reverse("accounts:end_session", args=[theirs.pk])).status_code == 404
    assert is_in(meng)


def test_a_log_out_is_the_end_of_its_line(world: World) -> None:
    client = browser()
    post_password(client, world, "guo")
    client.post("/logout")
    assert SignIn.objects.get().ended_at is not None


def test_a_new_password_ends_the_other_sessions_and_keeps_this_one(world: World) -> None:
    phone, desk = browser(), browser()
    for client in (phone, desk):
        post_password(client, world, "guo")
    old, new = world.passwords["guo"], "seven blue kites over it"
    for given, fault in (
        ({"old": "wrong", "new": new, "again": new}, "password of now"),
        ({"old": old, "new": new, "again": new + "x"}, "not the same"),
        ({"old": old, "new": "short", "again": "short"}, "12"),
        ({"old": old, "new": "password1234567", "again": ""}, "again"),
        ({"old": old, "new": old, "again": old}, "have already"),
    ):
        answer = desk.post("/account/password", given)
        assert answer.status_code == 422
        assert fault in answer.content.decode()
    answer = desk.post("/account/password", {"old": old, "new": new, "again": new})
    assert answer.status_code == 302
    assert is_in(desk)
    assert not is_in(phone)
    assert SignIn.objects.filter(ended_at=None).count() == 1
    line = Change.objects.get(action="change password")
    assert new not in f"{line.before}{line.after}"


def test_an_old_session_may_not_change_how_one_logs_in(world: World) -> None:
    client = browser()
    post_password(client, world, "guo")
    SignIn.objects.update(since=timezone.now() - sessions.FRESH)
    assert client.get("/account/authenticator").status_code == 302
    assert client.post("/account/passkeys/begin").status_code == 422
    assert client.post("/account/codes").status_code == 302
    assert "log out and in again" in client.get("/account").content.decode()


def test_an_authenticator_is_set_up_and_removed_on_the_page(world: World) -> None:
    client = browser()
    post_password(client, world, "guo")
    client.get("/account/authenticator")
    code = totp_now(client.session[SECRET])
    answer = client.post("/account/authenticator", {"code": code}, follow=True)
    assert answer.request["PATH_INFO"] == "/account/codes"
    factor = mfa.factors(world.staff["guo"].user).totp
    assert factor is not None
    client.post(reverse("accounts:remove", args=[factor.pk]))
    assert not mfa.factors(world.staff["guo"].user).any
    assert mfa.factors(world.staff["guo"].user).recovery_left == 0
    actions = list(Change.objects.filter(who="guo").values_list("action", flat=True))
    assert actions == ["add authenticator", "remove second factor"]


# The manager's page


def test_the_manager_adds_a_guard_for_one_building(world: World, sign_in: SignInAs) -> None:
    meng = sign_in("meng")
    building = world.community.buildings.get()
    given = {
        "name": "郭二",
        "username": "guo.er",
        "role": "guard",
        "buildings": [building.pk],
    }
    page = meng.post("/staff/new", given).content.decode()
    password = page.partition('id="password">')[2].partition("<")[0]
    made = world.community.staff.get(user__username="guo.er")
    assert list(made.buildings.all()) == [building]
    assert made.user.check_password(password)
    world.passwords["guo.er"] = password
    client = browser()
    post_password(client, world, "guo.er")
    assert is_in(client)
    assert meng.post("/staff/new", given).status_code == 422


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"username": "Guo Er"}, "small letters"),
        ({"username": ""}, "log-in name"),
        ({"role": "liaison"}, "Select a valid choice"),
        ({"name": ""}, "name"),
        ({"buildings": ["b_none"]}, "Select a valid choice"),
    ],
)
def test_what_breaks_a_rule_is_said_and_adds_nobody(
    world: World, sign_in: SignInAs, change: dict[str, object], fault: str
) -> None:
    given = {"name": "郭二", "username": "guo.er", "role": "guard"} | change
    answer = sign_in("meng").post("/staff/new", given)
    assert answer.status_code == 422
    assert fault in answer.content.decode()
    assert not world.community.staff.filter(user__username="guo.er").exists()


def test_another_role_ends_the_sessions_and_is_in_the_change_log(
    world: World, sign_in: SignInAs
) -> None:
    client = browser()
    post_password(client, world, "guo")
    guo = world.staff["guo"]
    answer = sign_in("meng").post(
        reverse("accounts:one", args=[guo.pk]), {"name": "郭守", "role": "installer"}
    )
    assert answer.status_code == 302
    assert not is_in(client)
    guo.refresh_from_db()
    assert guo.role == Role.INSTALLER
    line = Change.objects.get(action="change role")
    assert (line.who, line.before, line.after) == (
        "meng",
        {"role": "guard"},
        {"role": "installer"},
    )


def test_an_ended_log_in_is_out_at_once_and_may_come_back(world: World, sign_in: SignInAs) -> None:
    with_totp(world, "guo")
    client = sign_in("guo")
    guo = world.staff["guo"]
    _token, text = people.add_api_token(guo, "box", BY)
    meng = sign_in("meng")
    meng.post(reverse("accounts:end_staff", args=[guo.pk]))
    assert client.get("/account").status_code == 302
    answer = browser()
    assert post_password(answer, world, "guo").status_code == 422
    assert (
        Client().get("/api/v1/holders", headers={"authorization": f"Bearer {text}"}).status_code
        == 401
    )
    page = meng.post(reverse("accounts:staff_password", args=[guo.pk])).content.decode()
    world.passwords["guo"] = page.partition('id="password">')[2].partition("<")[0]
    back = browser()
    post_password(back, world, "guo")
    assert is_in(back)


def test_a_lost_phone_is_reset_by_the_manager(world: World, sign_in: SignInAs) -> None:
    with_totp(world, "guo")
    sign_in("meng").post(reverse("accounts:reset", args=[world.staff["guo"].pk]))
    assert not mfa.factors(world.staff["guo"].user).any
    client = browser()
    post_password(client, world, "guo")
    assert is_in(client)
    assert Change.objects.filter(action="reset second factor", who="meng").exists()


def test_the_manager_has_no_hand_on_who_watches_over_them(world: World, sign_in: SignInAs) -> None:
    meng = sign_in("meng")
    for watcher in ("committee", "auditor", "liaison"):
        for name in ("one", "reset", "staff_password", "end_sessions", "end_staff"):
            url = reverse(f"accounts:{name}", args=[world.staff[watcher].pk])
            assert meng.post(url).status_code == 404, (watcher, name)
        assert world.staff[watcher].user.check_password(world.passwords[watcher])


def test_the_last_manager_stays_and_nobody_ends_or_resets_themselves(
    world: World, sign_in: SignInAs
) -> None:
    meng = world.staff["meng"]
    client = sign_in("meng")
    with_totp(world, "meng")
    client.post(reverse("accounts:end_staff", args=[meng.pk]))
    client.post(reverse("accounts:reset", args=[meng.pk]))
    answer = client.post(reverse("accounts:one", args=[meng.pk]), {"name": "孟", "role": "guard"})
    assert "last manager" in answer.content.decode()
    meng.refresh_from_db()
    assert meng.role == Role.MANAGER
    assert mfa.factors(meng.user).any
    assert is_in(client)


def test_the_rule_on_second_factors_is_the_manager_s_and_is_logged(
    world: World, sign_in: SignInAs
) -> None:
    FactorDue.objects.create(
        user=world.staff["meng"].user, due_at=timezone.now() + timedelta(days=7)
    )
    client = sign_in("meng")
    assert client.post("/staff/rule", {"roles": ["guard"], "days": 31}).status_code == 422
    assert client.post("/staff/rule", {"roles": ["guard", "manager"], "days": 2}).status_code == 302
    assert FactorDue.objects.get().due_at <= timezone.now() + timedelta(days=2)
    line = Change.objects.get(model="accounts.factorrule")
    assert line.after == {"roles": ["guard", "manager"], "days": 2}


def test_a_manager_of_another_community_finds_nobody(world: World, sign_in: SignInAs) -> None:
    from anlin.hub.console.tests.world import make_world

    other = make_world("邻村")
    client = sign_in("meng")
    assert client.get(reverse("accounts:one", args=[other.staff["guo"].pk])).status_code == 404
    building = other.community.buildings.get()
    given = {"name": "郭", "role": "guard", "buildings": [building.pk]}
    answer = client.post(reverse("accounts:one", args=[world.staff["guo"].pk]), given)
    assert answer.status_code == 422
