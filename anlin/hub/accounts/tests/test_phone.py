"""The residents' code by SMS: who gets one, and what nobody can find out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone, translation

from anlin.hub.accounts import limits, phone, sms
from anlin.hub.accounts.models import PhoneCode, Tries
from anlin.hub.audit.log import Actor
from anlin.hub.conftest import Cast
from anlin.hub.errors import RuleError
from anlin.hub.people import services as people
from anlin.notify.base import Message

pytestmark = pytest.mark.django_db(databases=["default", "events"])

BY = Actor.command("test")
LIN, WANG = "13800000001", "13800000002"
HERE = "198.51.100.9"


@pytest.fixture(autouse=True)
def _in_english() -> Iterator[None]:
    with translation.override("en"):
        yield


@pytest.fixture
def lin(cast: Cast) -> Cast:
    people.change_holder(cast.lin, BY, phone=LIN)
    return cast


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[Message]:
    out: list[Message] = []

    def keep(message: Message | None) -> None:
        if message is not None:
            out.append(message)

    monkeypatch.setattr(sms, "send_later", keep)
    return out


def code_in(message: Message) -> str:
    found = re.search(r"\d{6}", message.text)
    assert found is not None
    assert found[0] == message.values["code"]
    return found[0]


def test_a_code_signs_in_whose_number_it_is_once(lin: Cast, sent: list[Message]) -> None:
    pk = phone.ask("+86 138-0000-0001", HERE)
    [message] = sent
    assert message.to == LIN
    code = code_in(message)
    assert code not in str(PhoneCode.objects.values().get())
    assert phone.check(pk, f" {code[:3]} {code[3:]} ") == [lin.lin]
    with pytest.raises(RuleError, match="good no more"):
        phone.check(pk, code)


@pytest.mark.parametrize("stored", ["13800000001", "+86 13800000001", "86 138 0000 0001"])
def test_a_number_is_found_however_the_office_wrote_it(
    lin: Cast, sent: list[Message], stored: str
) -> None:
    people.change_holder(lin.lin, BY, phone=stored)
    phone.ask("13800000001", HERE)
    assert len(sent) == 1


def test_an_unknown_number_gets_the_same_answer_and_no_message(
    lin: Cast, sent: list[Message]
) -> None:
    known = phone.ask(LIN, HERE)
    unknown = phone.ask(WANG, HERE)
    assert len(sent) == 1
    assert known[:3] == unknown[:3] == "pc_"
    faults = set()
    for pk in (known, unknown):
        with pytest.raises(RuleError) as wrong:
            phone.check(pk, "000000")
        faults.add(str(wrong.value))
    assert len(faults) == 1


def test_the_guess_of_a_code_for_an_unknown_number_signs_nobody_in(
    lin: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("anlin.hub.accounts.phone.secrets.randbelow", lambda _: 123456)
    pk = phone.ask(WANG, HERE)
    with pytest.raises(RuleError):
        phone.check(pk, "123456")


@pytest.mark.parametrize("gone", ["suspended", "moved out", "lease over"])
def test_who_does_not_live_here_gets_no_code(lin: Cast, sent: list[Message], gone: str) -> None:
    match gone:
        case "suspended":
            people.suspend_holder(lin.lin, BY)
        case "moved out":
            people.move_out(lin.lin, BY)
        case _:
            people.end_residency(lin.lin.residencies.get(), BY)
    phone.ask(LIN, HERE)
    assert sent == []


def test_the_fifth_wrong_code_is_the_last(lin: Cast, sent: list[Message]) -> None:
    pk = phone.ask(LIN, HERE)
    right = code_in(sent[0])
    wrong = f"{(int(right) + 1) % 10**6:06d}"
    for _ in range(4):
        with pytest.raises(RuleError, match="does not fit"):
            phone.check(pk, wrong)
    with pytest.raises(RuleError, match="Five wrong"):
        phone.check(pk, wrong)
    with pytest.raises(RuleError, match="good no more"):
        phone.check(pk, right)


def test_after_five_minutes_it_is_good_no_more(lin: Cast, sent: list[Message]) -> None:
    pk = phone.ask(LIN, HERE)
    row = PhoneCode.objects.get()
    assert timedelta(minutes=4) < row.expires_at - timezone.now() <= timedelta(minutes=5)
    PhoneCode.objects.update(expires_at=timezone.now())
    with pytest.raises(RuleError, match="good no more"):
        phone.check(pk, code_in(sent[0]))


@pytest.mark.parametrize("number", [LIN, WANG])
def test_one_code_in_a_minute_whether_known_or_not(
    lin: Cast, sent: list[Message], number: str
) -> None:
    phone.ask(number, HERE)
    with pytest.raises(RuleError, match=r"Wait \d\d seconds"):
        phone.ask(number, HERE)
    assert len(sent) <= 1


def _minute_later() -> None:
    Tries.objects.filter(
        key=limits._key(phone.PAUSE, LIN),
    ).update(ends_at=timezone.now())


def test_five_codes_in_an_hour_for_one_number(lin: Cast, sent: list[Message]) -> None:
    for _ in range(phone.OF_NUMBER.most):
        phone.ask(LIN, HERE)
        _minute_later()
    with pytest.raises(RuleError, match="in an hour"):
        phone.ask(LIN, HERE)
    assert len(sent) == phone.OF_NUMBER.most


def test_one_address_asks_for_so_many_numbers_and_no_more(lin: Cast, sent: list[Message]) -> None:
    for number in range(phone.OF_ADDRESS.most):
        phone.ask(f"139{number:08d}", HERE)
    with pytest.raises(RuleError, match="in an hour"):
        phone.ask(LIN, HERE)
    assert sent == []


@pytest.mark.parametrize("typed", ["", "abc", "12", "1" * 16, "138 0000 000１", "138;DROP"])
def test_what_is_no_number_is_said_to_be_none(lin: Cast, typed: str) -> None:
    with pytest.raises(RuleError, match="not a telephone number") as fault:
        phone.ask(typed, HERE)
    assert fault.value.field == "phone"
    assert not PhoneCode.objects.exists()


def test_a_family_that_shares_a_telephone_is_all_found(lin: Cast, sent: list[Message]) -> None:
    people.change_holder(lin.wang, BY, phone=LIN)
    pk = phone.ask(LIN, HERE)
    assert set(phone.check(pk, code_in(sent[0]))) == {lin.lin, lin.wang}


def test_what_is_sent_later_is_sent_by_another_thread(
    lin: Cast, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    settings.SMS_MODE = "console"
    pk = phone.ask(LIN, HERE)
    sms.drain()
    found = re.search(r"code is (\d{6})", caplog.text)
    assert found is not None
    assert phone.check(pk, found[1]) == [lin.lin]
