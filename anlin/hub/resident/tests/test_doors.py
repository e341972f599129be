"""What a resident may open from a phone, and that one press opens once."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from anlin.core.access import Reason
from anlin.core.entities import Method
from anlin.core.event import EventKind
from anlin.hub.access import services as access
from anlin.hub.audit.models import View
from anlin.hub.devices.models import Command, Node
from anlin.hub.people import services as people
from anlin.hub.resident import doors
from anlin.hub.resident.models import Opening
from anlin.hub.resident.tests.conftest import BY, Street

pytestmark = pytest.mark.django_db(databases=["default", "events"])


def text(answer: Any) -> str:
    return str(answer.content.decode())


def token_on(client: Client, url: str) -> str:
    page = text(client.get(url))
    match = re.search(r'name="token" value="([^"]+)"', page)
    assert match, page
    return match[1]


def press(street: Street, name: str = "lin", point: str = "east") -> tuple[Client, Any]:
    client = street.phone(name)
    url = f"/home/doors/{street.points[point].pk}"
    answer = client.post(f"{url}/open", {"token": token_on(client, url)})
    return client, answer


def answers(street: Street, command: Command, reason: Reason) -> None:
    """Let the edge take the order and decide."""
    world = street.world
    data = {"command": command.pk, "number": command.number}
    world.happened(EventKind.COMMAND_DONE, command.target, data)
    point = next(key for key, at in street.points.items() if at.pk == command.target)
    if reason is Reason.GRANTED:
        world.passed("lin", point, Method.PHONE, command=command.pk)
    else:
        world.refused("lin", point, Method.PHONE, reason, command=command.pk)


def test_the_home_page_shows_the_doors_that_a_rule_admits_and_a_phone_opens(
    street: Street,
) -> None:
    page = text(street.phone("lin").get("/home/"))
    for name in ("east", "west", "door1"):
        assert street.points[name].name in page
    assert street.points["lane"].name not in page
    assert "林安" in page
    assert "1-101" in page


def test_a_door_that_no_rule_admits_to_is_neither_shown_nor_there(street: Street) -> None:
    access.change_point(street.points["door3"], BY, methods=(Method.CARD, Method.PHONE))
    rule = street.world.community.rules.get(name="住户全天通行")
    access.change_rule(rule, BY, points=[street.points["east"]])
    client = street.phone("lin")
    assert street.points["door3"].name not in text(client.get("/home/"))
    assert client.get(f"/home/doors/{street.points['door3'].pk}").status_code == 404


def test_opening_takes_two_steps_and_tells_that_the_gate_opened(street: Street) -> None:
    client, answer = press(street)
    opening = Opening.objects.get()
    assert answer["Location"] == f"/home/openings/{opening.pk}"
    command = Command.objects.get()
    assert command.target == street.points["east"].pk
    assert command.expires_at - command.issued_at <= timedelta(seconds=10)
    assert "林安" in command.by
    assert "is being asked" in text(client.get(answer["Location"]))

    answers(street, command, Reason.GRANTED)
    assert "It is open" in text(client.get(answer["Location"]))


def test_a_refusal_is_told_with_its_reason(street: Street) -> None:
    client, answer = press(street)
    answers(street, Command.objects.get(), Reason.NOT_PERMITTED_AT_THIS_TIME)
    page = text(client.get(answer["Location"]))
    assert "It did not open" in page
    assert "No right to pass at this time" in page


def test_the_same_confirmation_sent_twice_opens_once(street: Street) -> None:
    client = street.phone("lin")
    url = f"/home/doors/{street.points['east'].pk}"
    token = token_on(client, url)
    first = client.post(f"{url}/open", {"token": token})
    second = client.post(f"{url}/open", {"token": token})
    assert first["Location"] == second["Location"]
    assert Command.objects.count() == 1


def test_a_confirmation_after_its_time_opens_nothing_and_says_so(
    street: Street, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = street.phone("lin")
    url = f"/home/doors/{street.points['east'].pk}"
    token = token_on(client, url)
    late = timezone.now() + doors.CONFIRM_WITHIN + doors.ON_THE_WAY + timedelta(seconds=2)
    monkeypatch.setattr("django.core.signing.time.time", late.timestamp)
    answer = client.post(f"{url}/open", {"token": token}, follow=True)
    assert "ten seconds were over" in text(answer)
    assert not Command.objects.exists()


@pytest.mark.parametrize("token", ["", "x", "a:b:c", "\x00", "9" * 5000])
def test_a_confirmation_that_is_not_ours_opens_nothing(street: Street, token: str) -> None:
    url = f"/home/doors/{street.points['east'].pk}/open"
    answer = street.phone("lin").post(url, {"token": token}, follow=True)
    assert "Choose the door once more" in text(answer)
    assert not Command.objects.exists()


def test_a_confirmation_opens_no_other_door_and_serves_nobody_else(street: Street) -> None:
    lin, wang = street.phone("lin"), street.phone("wang")
    east, west = (f"/home/doors/{street.points[name].pk}" for name in ("east", "west"))
    token = token_on(lin, east)
    lin.post(f"{west}/open", {"token": token})
    wang.post(f"{east}/open", {"token": token})
    assert not Command.objects.exists()


def test_nothing_is_sent_to_a_gate_that_is_not_heard(street: Street) -> None:
    client = street.phone("lin")
    url = f"/home/doors/{street.points['east'].pk}"
    token = token_on(client, url)
    Node.objects.update(last_seen_at=timezone.now() - timedelta(minutes=5))
    answer = client.post(f"{url}/open", {"token": token}, follow=True)
    assert "The gate can't be reached" in text(answer)
    assert not Command.objects.exists()
    assert "reached now" in text(client.get("/home/"))
    assert "Open now" not in text(client.get(url))


def test_an_order_that_nobody_answers_is_told_as_not_reached(street: Street) -> None:
    client, answer = press(street)
    old = timezone.now() - timedelta(minutes=1)
    Command.objects.update(issued_at=old, expires_at=old + timedelta(seconds=10))
    assert "It will not open later" in text(client.get(answer["Location"]))


def test_pressing_without_end_is_stopped_after_a_few_times(street: Street) -> None:
    for _time in range(doors.OPENINGS_A_MINUTE):
        press(street)
    client, answer = press(street)
    assert Command.objects.count() == doors.OPENINGS_A_MINUTE
    assert "very often" in text(client.get(answer["Location"]))


def test_a_phone_that_the_office_suspended_opens_nothing(street: Street) -> None:
    press(street)
    access.suspend_credential(street.people["lin"].credentials.get(method="phone"), BY)
    client, answer = press(street)
    assert "switched off for you" in text(client.get(answer["Location"]))
    assert Command.objects.count() == 1
    assert street.people["lin"].credentials.filter(method="phone").count() == 1


def test_whose_opening_it_was_reads_what_came_of_it_and_nobody_else(street: Street) -> None:
    client, answer = press(street)
    assert client.get(answer["Location"]).status_code == 200
    assert street.phone("wang").get(answer["Location"]).status_code == 404


def test_a_child_opens_from_afar_only_with_the_owners_leave(street: Street) -> None:
    home = street.people["lin"].residencies.get().unit
    child = street.moves_in("mei", "林小", unit=home)
    street.born("mei", 12)
    client = street.phone("mei")
    assert "only if the owner allows it" in text(client.get("/home/"))
    url = f"/home/doors/{street.points['east'].pk}"
    assert client.get(url).status_code == 302
    token = doors.confirm_token(doors_home(street, "mei"), doors_of_point(street, "mei", "east"))
    client.post(f"{url}/open", {"token": token})
    assert not Command.objects.exists()

    lin = street.phone("lin")
    lin.post(f"/home/family/{child.pk}/remote", {"allow": "1"})
    client.post(f"{url}/open", {"token": token_on(client, url)})
    assert Command.objects.count() == 1


def test_a_child_of_fourteen_needs_no_leave(street: Street) -> None:
    home = street.people["lin"].residencies.get().unit
    street.moves_in("mei", "林小", unit=home)
    street.born("mei", 14)
    press(street, "mei")
    assert Command.objects.count() == 1


@pytest.mark.parametrize("name", ["qian", "sun", "zhao"])
def test_who_does_not_live_here_now_finds_no_door(street: Street, name: str) -> None:
    client = street.phone(name)
    assert client.get("/home/").status_code == 403
    for url in (f"/home/doors/{street.points['east'].pk}", "/home/qr"):
        assert client.get(url).status_code == 403
    assert client.post(f"/home/doors/{street.points['east'].pk}/open").status_code == 403
    assert not Command.objects.exists()


def test_a_suspended_resident_finds_no_door(street: Street) -> None:
    client = street.phone("lin")
    people.suspend_holder(street.people["lin"], BY)
    for url in ("/home/", "/home/qr", f"/home/doors/{street.points['east'].pk}"):
        answer = client.get(url)
        # Their sessions end; one that does not is refused.
        assert answer.status_code == 403 or answer["Location"].startswith("/home/login")
    again = street.phone("lin")
    assert again.get("/home/").status_code == 403


@pytest.mark.parametrize("name", ["guo", "meng", "nobody"])
def test_staff_and_strangers_are_sent_to_the_residents_log_in(street: Street, name: str) -> None:
    answer = street.phone(name).get("/home/")
    assert answer.status_code == 302
    assert answer["Location"].startswith("/home/login")


def test_the_gates_picture_is_shown_while_a_stranger_may_stand_there(street: Street) -> None:
    world = street.world
    name = world.picture(1)
    world.happened(
        EventKind.ACCESS_DENIED,
        street.points["east"].pk,
        {
            "reason": "face_not_recognised",
            "method": "face",
            "point": street.points["east"].pk,
            "portal": street.points["east"].portal_id,
            "picture": name,
        },
    )
    client = street.phone("lin")
    url = f"/home/doors/{street.points['east'].pk}"
    assert name in text(client.get(url))
    answer = client.get(f"{url}/{name}")
    assert answer.status_code == 200
    assert answer.getvalue().startswith(b"\xff\xd8")
    assert View.objects.filter(what="picture", who__startswith="林安").count() == 1
    # At the other gate nobody stands.
    assert name not in text(client.get(f"/home/doors/{street.points['west'].pk}"))
    other = f"/home/doors/{street.points['west'].pk}/{name}"
    assert client.get(other).status_code == 404


def test_a_picture_of_a_neighbour_coming_home_is_not_shown(street: Street) -> None:
    world = street.world
    name = world.picture(2)
    world.passed("wang", "east", Method.FACE, picture=name)
    client = street.phone("lin")
    url = f"/home/doors/{street.points['east'].pk}"
    assert name not in text(client.get(url))
    assert client.get(f"{url}/{name}").status_code == 404


def test_an_old_picture_is_not_shown(street: Street) -> None:
    world = street.world
    name = world.picture(3)
    at = timezone.now() - doors.STANDS_THERE - timedelta(seconds=5)
    world.passed("zhao", "east", Method.FACE, picture=name, at=at)
    assert name not in text(street.phone("lin").get(f"/home/doors/{street.points['east'].pk}"))


def doors_home(street: Street, name: str) -> Any:
    from anlin.hub.resident.homes import home_of

    return home_of(street.people[name])


def doors_of_point(street: Street, name: str, point: str) -> doors.Door:
    return doors.door_of(doors_home(street, name), street.points[point].pk)
