from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta

import pytest
from django.utils import timezone, translation

from anlin.hub.audit.log import Actor
from anlin.hub.audit.models import Change
from anlin.hub.conftest import Cast
from anlin.hub.console.tests.world import drawn_face
from anlin.hub.errors import RuleError
from anlin.hub.join import services
from anlin.hub.join.models import Application, Stage
from anlin.hub.people import services as people
from anlin.hub.people.models import (
    Document,
    Holder,
    Proof,
    Purpose,
    Residency,
    ResidencyKind,
    Unit,
)

pytestmark = pytest.mark.django_db(databases=["default", "events"])

OFFICE = Actor.command("office")
ZHAO = services.Asked("赵来", "139 0000 2202", ResidencyKind.FAMILY, "form-1")
NUMBER = "190101199003071238"
"""The worked example: its region is assigned to nobody."""


@pytest.fixture(autouse=True)
def _in_english() -> Iterator[None]:
    with translation.override("en"):
        yield


def home_of(cast: Cast) -> Unit:
    return cast.lin.residencies.get().unit


def in_office(cast: Cast, asked: services.Asked = ZHAO) -> Application:
    application, _secret = services.apply(home_of(cast), asked)
    if application.stage == Stage.OWNER:
        services.owner_answers(application, cast.lin, Actor.resident(cast.lin), is_agreed=True)
    return application


def test_who_asks_is_nobody_until_owner_and_office_have_agreed(cast: Cast) -> None:
    before = Holder.objects.count()
    application, secret = services.apply(home_of(cast), ZHAO)
    assert (application.stage, Holder.objects.count()) == (Stage.OWNER, before)
    with pytest.raises(RuleError):
        services.approve(application, OFFICE, proof=Proof.OWNER)
    assert [a.pk for a in services.waiting_for_owner(cast.lin)] == [application.pk]
    services.owner_answers(application, cast.lin, Actor.resident(cast.lin), is_agreed=True)
    zhao = services.approve(application, OFFICE, proof=Proof.OWNER)
    home = zhao.residencies.get()
    assert (home.unit, home.kind, home.proof) == (home_of(cast), "family", Proof.OWNER)
    found = services.by_secret(secret)
    assert found is not None
    assert found.stage == Stage.APPROVED
    actions = Change.objects.filter(object_id=application.pk).values_list("action", flat=True)
    assert list(actions) == ["ask to join", "owner answers", "approve"]


def test_a_neighbour_or_a_tenant_can_not_answer_for_the_owner(cast: Cast) -> None:
    application, _secret = services.apply(home_of(cast), ZHAO)
    tenant = people.register_holder(
        cast.community, "租客", OFFICE, unit=home_of(cast), residency=ResidencyKind.TENANT
    )
    for other in (cast.wang, cast.qian, tenant):
        assert not services.waiting_for_owner(other)
        with pytest.raises(RuleError):
            services.owner_answers(application, other, OFFICE, is_agreed=True)
    application.refresh_from_db()
    assert application.stage == Stage.OWNER


def test_the_owner_refuses_and_the_office_can_not_overrule_by_accident(cast: Cast) -> None:
    application, _secret = services.apply(home_of(cast), ZHAO)
    services.owner_answers(application, cast.lin, Actor.resident(cast.lin), is_agreed=False)
    assert application.stage == Stage.REFUSED
    assert application.reason
    with pytest.raises(RuleError):
        services.approve(application, OFFICE, proof=Proof.OWNER)


def test_an_empty_home_has_no_owner_to_ask(cast: Cast) -> None:
    empty = people.add_unit(cast.building, "9-901", OFFICE)
    application, _secret = services.apply(empty, replace(ZHAO, kind=ResidencyKind.OWNER))
    assert application.stage == Stage.OFFICE


def test_an_owner_who_asks_for_the_family_has_answered(cast: Cast) -> None:
    by = Actor.resident(cast.lin)
    application, _secret = services.apply(home_of(cast), ZHAO, by, asked_by=cast.lin)
    assert (application.stage, application.owner) == (Stage.OFFICE, cast.lin)
    other, _secret = services.apply(
        home_of(cast), replace(ZHAO, posted="form-2", name="赵二"), by, asked_by=cast.wang
    )
    assert other.stage == Stage.OWNER


def test_a_form_sent_twice_is_one_request(cast: Cast) -> None:
    first, secret = services.apply(home_of(cast), ZHAO)
    second, none = services.apply(home_of(cast), ZHAO)
    assert (first.pk, none) == (second.pk, "")
    assert secret
    with pytest.raises(RuleError, match="waiting for this home"):
        services.apply(home_of(cast), replace(ZHAO, posted="another form"))


def test_two_clerks_who_answer_at_once_make_one_person(cast: Cast) -> None:
    application = in_office(cast)
    again = Application.objects.get(pk=application.pk)
    services.approve(application, OFFICE, proof=Proof.OWNER)
    with pytest.raises(RuleError, match="not waiting"):
        services.approve(again, OFFICE, proof=Proof.OWNER)
    assert Holder.objects.filter(name="赵来").count() == 1


def test_who_is_here_already_gets_the_home_and_stays_one_person(cast: Cast) -> None:
    home, next_door = home_of(cast), cast.wang.residencies.get().unit
    asked = replace(ZHAO, name=cast.lin.name, phone="13800001101", kind=ResidencyKind.OWNER)
    application, _secret = services.apply(next_door, asked)
    assert [person.pk for person in services.same_person(application)] == [cast.lin.pk]
    holder = services.approve(application, OFFICE, proof=Proof.DEED, proof_number="沪2026-1")
    assert holder == cast.lin
    lives_in = {residency.unit for residency in Residency.objects.filter(holder=cast.lin)}
    assert lives_in == {home, next_door}


def test_a_lease_ends_with_its_last_day_where_the_community_is(cast: Cast) -> None:
    last = timezone.localdate() + timedelta(days=30)
    application = in_office(cast, replace(ZHAO, kind=ResidencyKind.TENANT, ends_on=last))
    home = services.approve(application, OFFICE, proof=Proof.LEASE).residencies.get()
    assert home.ends_at is not None
    # Midnight in Shanghai is 16:00 UTC of the day before.
    assert home.ends_at.isoformat() == f"{last.isoformat()}T16:00:00+00:00"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": "  "}, "name"),
        ({"phone": "12"}, "phone"),
        ({"phone": "1" * 30}, "phone"),
        ({"kind": ResidencyKind.TENANT}, "ends_on"),
        ({"kind": ResidencyKind.TENANT, "ends_on": date(2020, 1, 1)}, "ends_on"),
        ({"number": NUMBER}, "document"),
        ({"number": NUMBER[:-1] + "1", "document": Document.ID_CARD}, "number"),
        ({"wants_face": True, "photo": b"no picture"}, "photo"),
        ({"wants_face": True, "born_on": timezone.localdate() - timedelta(days=3000)}, "guardian"),
    ],
)
def test_what_can_not_be_is_refused_by_its_field_and_nothing_is_kept(
    cast: Cast, change: dict[str, object], field: str
) -> None:
    with pytest.raises(RuleError) as refused:
        services.apply(home_of(cast), replace(ZHAO, **change))  # type: ignore[arg-type]
    assert refused.value.field == field
    assert not Application.objects.exists()


def test_number_and_photograph_are_deleted_with_the_answer_and_closed_before(cast: Cast) -> None:
    asked = replace(
        ZHAO,
        number=NUMBER,
        document=Document.ID_CARD,
        wants_face=True,
        photo=drawn_face(3),
    )
    application = in_office(cast, asked)
    raw = Application.objects.filter(pk=application.pk).extra(select={"raw": "number"})
    assert NUMBER not in str(raw.values_list("raw", flat=True)[0])
    assert application.born_on == date(1990, 3, 7)
    services.refuse(application, OFFICE, "请到物业核对")
    assert (application.number, application.closed_photo) == ("", None)
    lines = str(list(Change.objects.values_list("before", "after")))
    assert NUMBER not in lines


def test_a_photograph_without_a_face_registers_the_person_all_the_same(cast: Cast) -> None:
    asked = replace(ZHAO, wants_face=True, photo=drawn_face(3))
    zhao = services.approve(in_office(cast, asked), OFFICE, proof=Proof.OWNER)
    assert zhao.has_consent(Purpose.FACE)
    assert zhao.applications.get().photo_fault


def test_a_child_comes_in_by_face_only_with_the_guardian_named_in_the_ledger(cast: Cast) -> None:
    asked = replace(
        ZHAO,
        born_on=timezone.localdate() - timedelta(days=3000),
        wants_face=True,
        guardian="林安",
        relation="母亲",
    )
    child = services.approve(in_office(cast, asked), OFFICE, proof=Proof.HOUSEHOLD)
    consent = child.consents.get(purpose=Purpose.FACE)
    assert consent.given_by == "林安"


def test_what_nobody_answers_ends_and_is_emptied(cast: Cast) -> None:
    application, _secret = services.apply(home_of(cast), ZHAO)
    assert services.expire(timezone.now()) == 0
    assert services.expire(timezone.now() + Application.LIFE + timedelta(minutes=1)) == 1
    application.refresh_from_db()
    assert application.stage == Stage.EXPIRED
    assert services.expire(timezone.now() + timedelta(days=365)) == 0


def test_a_home_is_not_buried_under_requests(cast: Cast) -> None:
    for number in range(services.MAX_OPEN):
        services.apply(home_of(cast), replace(ZHAO, posted=str(number), name=f"赵{number}"))
    with pytest.raises(RuleError, match="Too many"):
        services.apply(home_of(cast), replace(ZHAO, posted="one more", name="赵多"))


def test_the_sender_takes_it_back_once(cast: Cast) -> None:
    application, _secret = services.apply(home_of(cast), ZHAO)
    services.withdraw(application)
    assert application.stage == Stage.WITHDRAWN
    with pytest.raises(RuleError):
        services.withdraw(application)
