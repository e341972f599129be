from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from anlin.core.entities import HolderKind
from anlin.hub.accounts.services import resident_login
from anlin.hub.audit.log import Actor
from anlin.hub.audit.models import View
from anlin.hub.conftest import Cast
from anlin.hub.console.tests.world import drawn_face
from anlin.hub.join import services
from anlin.hub.join.models import Application, Stage
from anlin.hub.people import services as people
from anlin.hub.people.models import Holder, ResidencyKind

pytestmark = pytest.mark.django_db(databases=["default", "events"])

BY = Actor.command("test")


@pytest.fixture
def application(cast: Cast) -> Application:
    unit = cast.lin.residencies.get().unit
    asked = services.Asked("赵来", "13900002202", ResidencyKind.FAMILY, "form-1")
    return services.apply(unit, asked)[0]


def filled(client: Client, cast: Cast, **change: str) -> dict[str, str]:
    page = client.get(reverse("join:join", args=[cast.community.pk]))
    posted = page.context["form"]["posted"].value()
    return {
        "name": "赵来",
        "phone": "13900002202",
        "unit": "1-101",
        "residency": "family",
        "posted": posted,
        **change,
    }


def test_a_stranger_asks_and_follows_the_answer_by_the_link_alone(
    cast: Cast, client: Client
) -> None:
    address = reverse("join:join", args=[cast.community.pk])
    given = filled(client, cast)
    sent = client.post(address, given, follow=True)
    assert "赵来" in sent.content.decode()
    link = sent.redirect_chain[-1][0]
    again = client.post(address, given)
    assert again.status_code == 200
    assert Application.objects.count() == 1
    assert link not in again.content.decode()
    application = Application.objects.get()
    services.owner_answers(application, cast.lin, Actor.resident(cast.lin), is_agreed=False)
    assert application.reason in Client().get(link).content.decode()
    assert Client().get(reverse("join:followed", args=["guessed"])).status_code == 404


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "名" * 61}, "name"),
        ({"phone": "abc"}, "phone"),
        ({"unit": "77-777"}, "unit"),
        ({"unit": ""}, "unit"),
        ({"residency": "king"}, "residency"),
        ({"residency": "tenant"}, "ends_on"),
        ({"residency": "tenant", "ends_on": "30.6."}, "ends_on"),
        ({"number": "1234", "document": "id_card"}, "number"),
        ({"document": "library card"}, "document"),
        ({"born_on": "yesterday"}, "born_on"),
        ({"posted": ""}, "posted"),
    ],
)
def test_each_wrong_field_is_named_and_nothing_is_kept(
    cast: Cast, client: Client, change: dict[str, str], field: str
) -> None:
    address = reverse("join:join", args=[cast.community.pk])
    answer = client.post(address, filled(client, cast, **change))
    assert answer.status_code == 422
    assert field in answer.context["form"].errors
    assert not Application.objects.exists()


def test_one_address_can_not_fill_the_office_with_forms(cast: Cast, client: Client) -> None:
    address = reverse("join:join", args=[cast.community.pk])
    answers = [
        client.post(
            address,
            filled(client, cast, name=f"赵{number}", phone=f"1390000{number:04}"),
            REMOTE_ADDR="198.51.100.7",
        ).status_code
        for number in range(12)
    ]
    assert answers == [302] * 10 + [422] * 2


@pytest.mark.parametrize("who", ["wang", "qian", "nobody", "meng"])
def test_only_an_owner_of_that_home_sees_and_answers(
    cast: Cast, client: Client, application: Application, who: str
) -> None:
    if who in ("wang", "qian"):
        client.force_login(resident_login(getattr(cast, who), BY).user)
    elif who == "meng":
        client.force_login(cast.meng.user)
    seen = client.get(reverse("join:waiting"))
    assert "赵来" not in seen.content.decode()
    answer = client.post(reverse("join:answer", args=[application.pk]), {"answer": "yes"})
    assert answer.status_code in (302, 403, 404)
    application.refresh_from_db()
    assert application.stage == Stage.OWNER


def test_the_owner_agrees_with_one_tap_and_a_second_tap_changes_nothing(
    cast: Cast, client: Client, application: Application
) -> None:
    client.force_login(resident_login(cast.lin, BY).user)
    assert "赵来" in client.get(reverse("join:waiting")).content.decode()
    address = reverse("join:answer", args=[application.pk])
    client.post(address, {"answer": "yes"})
    client.post(address, {"answer": "no"})
    application.refresh_from_db()
    assert application.stage == Stage.OFFICE


def test_the_office_sees_registers_and_the_look_is_written_down(
    cast: Cast, client: Client, application: Application
) -> None:
    services.owner_answers(application, cast.lin, Actor.resident(cast.lin), is_agreed=True)
    client.force_login(cast.meng.user)
    assert "赵来" in client.get(reverse("join:requests")).content.decode()
    page = client.get(reverse("join:request", args=[application.pk])).content.decode()
    assert "13900002202" in page
    assert View.objects.filter(object_id=application.pk, who="meng").exists()
    address = reverse("join:approve", args=[application.pk])
    assert client.post(address, {"proof": ""}).status_code == 422
    client.post(address, {"proof": "owner"})
    client.post(address, {"proof": "owner"})
    zhao = Holder.objects.get(name="赵来")
    assert zhao.kind == HolderKind.RESIDENT
    assert zhao.residencies.count() == 1


def test_the_office_says_why_it_refuses(
    cast: Cast, client: Client, application: Application
) -> None:
    client.force_login(cast.meng.user)
    address = reverse("join:refuse", args=[application.pk])
    assert client.post(address, {"reason": ""}).status_code == 422
    client.post(address, {"reason": "请携带房产证到物业"})
    application.refresh_from_db()
    assert (application.stage, application.reason) == (Stage.REFUSED, "请携带房产证到物业")


def test_the_photograph_is_for_the_office_and_every_look_is_written_down(
    cast: Cast, client: Client
) -> None:
    unit = cast.lin.residencies.get().unit
    asked = services.Asked(
        "赵来", "13900002202", ResidencyKind.FAMILY, "f", wants_face=True, photo=drawn_face(5)
    )
    application, _secret = services.apply(unit, asked)
    address = reverse("join:photo", args=[application.pk])
    client.force_login(cast.guo.user)
    assert client.get(address).status_code == 403
    client.force_login(cast.meng.user)
    answer = client.get(address)
    assert answer.headers["Content-Type"] == "image/jpeg"
    assert View.objects.filter(what="application photo", object_id=application.pk).count() == 1
    other = people.create_community("别处", BY)
    cast.meng.community = other
    cast.meng.save()
    assert client.get(address).status_code == 404


def test_the_poster_leads_to_the_form(cast: Cast, client: Client) -> None:
    client.force_login(cast.meng.user)
    page = client.get(reverse("join:poster")).content.decode()
    assert reverse("join:join", args=[cast.community.pk]) in page
    assert "<svg" in page
