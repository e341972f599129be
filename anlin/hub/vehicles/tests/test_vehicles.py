"""Cars and e-bikes: asked for, admitted, given on and taken out; and tried as the neighbour."""

from __future__ import annotations

import json

import pytest
from django.http import Http404
from django.utils import timezone, translation

from anlin.core.access import NORMAL, Evidence, Presentation, Reason, decide
from anlin.core.entities import Direction, Method, PortalKind
from anlin.core.policy import Delta, Policy
from anlin.hub.access import services as access
from anlin.hub.access.models import AccessPoint
from anlin.hub.access.policy import community_group, compile_changes, delta_for
from anlin.hub.audit.models import Change
from anlin.hub.conftest import BY, Cast
from anlin.hub.errors import RuleError
from anlin.hub.people import services as people
from anlin.hub.vehicles import services as vehicles
from anlin.hub.vehicles.models import EBike, Vehicle, VehicleState

pytestmark = pytest.mark.django_db


def lane(cast: Cast) -> AccessPoint:
    portal = access.add_portal(
        cast.community, "车行道", BY, node=cast.node, kind=PortalKind.BARRIER
    )
    point = access.add_point(portal, "车行道进", Direction.ENTRY, (Method.PLATE, Method.CARD), BY)
    access.add_rule(cast.community, "车", [community_group(cast.community.pk)], [point], BY)
    return point


def at_the_lane(cast: Cast, point: AccessPoint, plate: str) -> Reason:
    delta = delta_for(cast.node, 0)
    assert isinstance(delta, Delta)
    policy = Policy()
    policy.apply(delta)
    at = timezone.now()
    shown = Presentation(point.pk, Method.PLATE, plate, at, Evidence(vehicle_present=True))
    return decide(policy, shown, NORMAL, at).reason


def test_a_residents_car_waits_for_the_office_and_opens_once_it_is_approved(cast: Cast) -> None:
    point = lane(cast)
    car = vehicles.ask_for_vehicle(cast.lin, "京a·d12345", BY, brand="红旗")
    assert (car.plate, car.state, car.is_new_energy) == ("京AD12345", "requested", True)
    assert car.unit == cast.building.units.get(code="1-101")
    assert at_the_lane(cast, point, car.plate) is Reason.CREDENTIAL_UNKNOWN
    car = vehicles.approve_vehicle(car, BY)
    assert car.is_let_in
    assert at_the_lane(cast, point, car.plate) is Reason.GRANTED
    vehicles.end_vehicle(car, BY)
    assert at_the_lane(cast, point, car.plate) is Reason.CREDENTIAL_REVOKED
    assert compile_changes(cast.community) == 0


def test_everything_said_twice_is_done_once(cast: Cast) -> None:
    asked = vehicles.ask_for_vehicle(cast.lin, "京A12345", BY)
    assert vehicles.ask_for_vehicle(cast.lin, "京A12345", BY) == asked
    first = vehicles.approve_vehicle(asked, BY)
    second = vehicles.approve_vehicle(asked, BY)
    assert first.credential == second.credential
    assert vehicles.add_vehicle(cast.lin, "京A12345", BY) == asked
    vehicles.end_vehicle(asked, BY)
    vehicles.end_vehicle(asked, BY)
    actions = list(Change.objects.filter(model="vehicles.vehicle").values_list("action", flat=True))
    assert actions == ["ask for vehicle", "approve vehicle", "end vehicle"]
    ebike = vehicles.add_ebike(cast.lin, BY, tag="e2 00-47")
    assert vehicles.add_ebike(cast.lin, BY, tag="E20047") == ebike
    vehicles.end_ebike(ebike, BY)
    vehicles.end_ebike(ebike, BY)
    assert Change.objects.filter(action="end e-bike").count() == 1


def test_the_office_adds_what_was_asked_for_without_a_second_record(cast: Cast) -> None:
    asked = vehicles.ask_for_vehicle(cast.lin, "京A12345", BY)
    assert vehicles.add_vehicle(cast.lin, "京A12345", BY) == asked
    assert Vehicle.objects.get().state == VehicleState.APPROVED


def test_where_the_community_wants_no_approval_a_car_opens_at_once(cast: Cast) -> None:
    vehicles.set_needs_approval(cast.community, False, BY)
    assert vehicles.ask_for_vehicle(cast.lin, "京A12345", BY).is_let_in


def test_a_taken_plate_is_refused_and_a_resident_does_not_learn_whose_it_is(cast: Cast) -> None:
    vehicles.add_vehicle(cast.wang, "京A12345", BY)
    with pytest.raises(RuleError) as refused:
        vehicles.ask_for_vehicle(cast.lin, "京A12345", BY)
    assert "王" not in str(refused.value)
    with pytest.raises(RuleError, match="王邻"):
        vehicles.add_vehicle(cast.lin, "京A12345", BY)
    assert not cast.lin.vehicles.exists()


def test_a_refusal_says_why_and_an_answer_is_given_once(cast: Cast) -> None:
    car = vehicles.ask_for_vehicle(cast.lin, "京A12345", BY)
    with pytest.raises(RuleError):
        vehicles.refuse_vehicle(car, " ", BY)
    car = vehicles.refuse_vehicle(car, "没有车位", BY)
    assert (car.state, car.refusal) == (VehicleState.REFUSED, "没有车位")
    with pytest.raises(RuleError):
        vehicles.approve_vehicle(car, BY)
    again = vehicles.ask_for_vehicle(cast.lin, "京A12345", BY)
    vehicles.approve_vehicle(again, BY)
    with pytest.raises(RuleError):
        vehicles.refuse_vehicle(again, "晚了", BY)


def test_only_so_many_cars_wait_for_one_person(cast: Cast) -> None:
    for n in range(vehicles.MAX_REQUESTS):
        vehicles.ask_for_vehicle(cast.lin, f"京A1234{n}", BY)
    with pytest.raises(RuleError):
        vehicles.ask_for_vehicle(cast.lin, "京A99999", BY)


@pytest.mark.parametrize(
    ("plate", "says"),
    [
        ("", "province"),
        ("京A1234I", "did you mean 京A·12341"),
        ("京AO123I4O5", "I and O"),
        ("A12345", "province"),
        ("京A123", "7 characters"),
        ("京A12345678901234567", "too long"),
        ("使12", "compare"),
    ],
)
def test_a_plate_that_nobody_paints_is_refused_by_its_rule(
    cast: Cast, plate: str, says: str
) -> None:
    with translation.override("en"), pytest.raises(RuleError) as refused:
        vehicles.ask_for_vehicle(cast.lin, plate, BY)
    assert says.lower() in str(refused.value).lower()
    assert refused.value.field == "plate"


def test_several_drive_one_car_and_one_of_them_takes_it_over(cast: Cast) -> None:
    point = lane(cast)
    car = vehicles.add_vehicle(cast.lin, "京A12345", BY)
    vehicles.change_vehicle(
        car, BY, unit=car.unit, brand="", colour="", space="B-12", drivers=[cast.wang, cast.lin]
    )
    assert list(car.drivers.all()) == [cast.wang]
    assert list(vehicles.vehicles_of(cast.wang)) == [car]
    car = vehicles.change_owner(car, cast.wang, BY)
    assert (car.owner, car.unit) == (cast.wang, cast.building.units.get(code="1-102"))
    assert at_the_lane(cast, point, "京A12345") is Reason.GRANTED
    people.move_out(cast.lin, BY)
    assert at_the_lane(cast, point, "京A12345") is Reason.GRANTED
    people.move_out(cast.wang, BY)
    assert at_the_lane(cast, point, "京A12345") is Reason.CREDENTIAL_REVOKED
    car.refresh_from_db()
    assert car.state == VehicleState.ENDED
    assert compile_changes(cast.community) == 0


def test_nobody_of_elsewhere_drives_or_owns(cast: Cast) -> None:
    other = people.create_community("邻村", BY)
    stranger = people.register_holder(other, "赵来", BY)
    car = vehicles.add_vehicle(cast.lin, "京A12345", BY)
    given = {"unit": None, "brand": "", "colour": "", "space": ""}
    with pytest.raises(RuleError):
        vehicles.change_vehicle(car, BY, drivers=[stranger], **given)  # type: ignore[arg-type]
    with pytest.raises(RuleError):
        vehicles.change_owner(car, stranger, BY)
    many = [people.register_holder(cast.community, f"林{n}", BY) for n in range(9)]
    with pytest.raises(RuleError):
        vehicles.change_vehicle(car, BY, drivers=many, **given)  # type: ignore[arg-type]
    people.move_out(cast.qian, BY)
    with pytest.raises(RuleError):
        vehicles.ask_for_vehicle(cast.qian, "京A54321", BY)


def test_what_is_the_neighbours_is_not_there(cast: Cast) -> None:
    car = vehicles.add_vehicle(cast.lin, "京A12345", BY)
    ebike = vehicles.add_ebike(cast.lin, BY, plate="京 1234567")
    assert vehicles.own_vehicle(cast.lin, car.pk) == car
    assert vehicles.own_ebike(cast.lin, ebike.pk) == ebike
    for stranger in (cast.wang, cast.qian):
        with pytest.raises(Http404):
            vehicles.own_vehicle(stranger, car.pk)
        with pytest.raises(Http404):
            vehicles.own_ebike(stranger, ebike.pk)


def test_a_home_knows_how_many_cars_it_has_and_may_have_inside(cast: Cast) -> None:
    unit = cast.building.units.get(code="1-101")
    vehicles.add_vehicle(cast.lin, "京A12345", BY)
    vehicles.add_vehicle(cast.lin, "京A12346", BY)
    vehicles.ask_for_vehicle(cast.lin, "京A12347", BY)
    assert vehicles.quota(unit) == vehicles.Quota(2, 1, None)
    access.set_household(unit, 1, BY)
    assert vehicles.quota(unit).is_over


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({}, "plate"),
        ({"plate": "!"}, "plate"),
        ({"plate": "京" * 21}, "plate"),
        ({"tag": "XYZ1"}, "tag"),
        ({"tag": "A1"}, "tag"),
        ({"battery": "电池一号"}, "battery"),
    ],
)
def test_an_ebike_needs_a_number_that_can_be_one(
    cast: Cast, given: dict[str, str], field: str
) -> None:
    with pytest.raises(RuleError) as refused:
        vehicles.add_ebike(cast.lin, BY, **given)
    assert refused.value.field == field
    assert not EBike.objects.exists()


def test_an_ebike_is_found_by_its_tag_and_belongs_to_one(cast: Cast) -> None:
    ebike = vehicles.add_ebike(cast.lin, BY, tag="e200 4711", battery="BAT-0001")
    assert vehicles.ebike_by_tag(cast.community, "E2:00:47:11") == ebike
    assert vehicles.ebike_by_tag(cast.community, "nothing") is None
    with pytest.raises(RuleError):
        vehicles.add_ebike(cast.wang, BY, battery="BAT0001")
    vehicles.change_ebike(ebike, BY, tag="E2004712", battery="BAT0002")
    vehicles.add_ebike(cast.wang, BY, battery="BAT0001")
    with pytest.raises(RuleError):
        vehicles.change_ebike(ebike, BY, battery="BAT0001")
    vehicles.end_ebike(ebike, BY)
    assert vehicles.ebike_by_tag(cast.community, "E2004712") is None
    with pytest.raises(RuleError):
        vehicles.change_ebike(ebike, BY, battery="BAT0003")


def test_every_write_is_in_the_change_log(cast: Cast) -> None:
    car = vehicles.ask_for_vehicle(cast.lin, "京A12345", BY)
    vehicles.refuse_vehicle(car, "没有车位", BY)
    lines = Change.objects.filter(model="vehicles.vehicle").order_by("id")
    assert [line.action for line in lines] == ["ask for vehicle", "refuse vehicle"]
    assert json.loads(json.dumps(lines[1].after))["refusal"] == "没有车位"
