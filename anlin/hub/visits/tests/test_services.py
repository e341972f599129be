from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.utils import timezone

from anlin.core import access as core_access
from anlin.core import qr
from anlin.core.entities import Direction, Method
from anlin.core.policy import Delta, Policy
from anlin.hub.access import services as access
from anlin.hub.access.models import NodeKey
from anlin.hub.access.passes import code_secret, pass_secret
from anlin.hub.access.policy import VISITORS, delta_for
from anlin.hub.audit.models import Change
from anlin.hub.console.tests.world import BY
from anlin.hub.errors import RuleError
from anlin.hub.people import services as people
from anlin.hub.people.models import Holder, HolderStatus
from anlin.hub.visits import bars, links, services
from anlin.hub.visits.models import Answered, Bar, Kind, State, Visit
from anlin.hub.visits.tests.conftest import Visits
from anlin.wire import keys

pytestmark = pytest.mark.django_db(databases=["default", "events"])

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def policy_of(visits: Visits) -> Policy:
    delta = delta_for(visits.world.node, 0)
    assert isinstance(delta, Delta)
    policy = Policy()
    policy.apply(delta)
    return policy


def show(visits: Visits, visit: Visit, point: str, at: datetime, code: str = "fresh") -> str:
    """Say what a gate answers to the visitor's pass."""
    policy = policy_of(visits)
    assert visit.leave is not None
    text = links.shown_now(visit) or access.pass_text(visit.leave)
    issuers = {one.id: one.public_key for one in policy.issuers.values()}
    leave = qr.read(text, issuers, keys.verify)
    shown = core_access.Presentation(
        visits.world.points[point].pk, Method.QR, text, at, leave=leave
    )
    state = core_access.State(pass_code=qr.Freshness(code))
    return core_access.decide(policy, shown, state, at).reason.value


def drive(visits: Visits, plate: str, at: datetime) -> str:
    shown = core_access.Presentation(
        visits.world.points["lane"].pk,
        Method.PLATE,
        plate,
        at,
        core_access.Evidence(vehicle_present=True),
    )
    return core_access.decide(policy_of(visits), shown, core_access.NORMAL, at).reason.value


def test_a_guest_of_lin_finds_gate_and_barrier_open_in_the_window_only(visits: Visits) -> None:
    visit = services.invite(
        visits.home, visits.lin, visits.wish(plate="京B88888"), visits.by(visits.lin)
    )
    assert visit.state == State.EXPECTED
    assert visit.answered_how == Answered.APPOINTED
    assert show(visits, visit, "east", visits.now + HOUR) == "granted"
    assert show(visits, visit, "east", visits.now + HOUR, "stale") == "pass_stale"
    assert show(visits, visit, "east", visits.now + 3 * HOUR + timedelta(minutes=2)) != "granted"
    assert drive(visits, "京B88888", visits.now + HOUR) == "granted"
    assert drive(visits, "京B88888", visits.now + 4 * HOUR) != "granted"


def test_the_secret_of_codes_reaches_the_node_sealed_and_makes_the_page_s_codes(
    visits: Visits,
) -> None:
    visit = services.invite(visits.home, visits.lin, visits.wish(), visits.by(visits.lin))
    assert visit.leave is not None
    assert NodeKey.objects.filter(node=visits.world.node, use="pass").count() == 1
    text = links.shown_now(visit)
    assert text is not None
    secret = qr.pass_secret(code_secret(visits.community), visit.leave.pk)
    assert pass_secret(visit.leave) == secret
    assert qr.step_shown(text, secret, timezone.now()) is not None


def test_a_neighbour_can_not_invite_to_lin_s_home_nor_see_its_visits(visits: Visits) -> None:
    with pytest.raises(RuleError):
        services.invite(visits.home, visits.wang, visits.wish(), visits.by(visits.wang))
    visit = services.invite(visits.home, visits.lin, visits.wish(), visits.by(visits.lin))
    assert services.of_home(visits.lin, visit.pk) == visit
    assert list(services.visits_of(visits.wang)) == []
    with pytest.raises(Visit.DoesNotExist):
        services.of_home(visits.wang, visit.pk)
    with pytest.raises(Visit.DoesNotExist):
        services.of_home(visits.world.people["qian"], visit.pk)


def test_a_form_sent_twice_makes_one_visit(visits: Visits) -> None:
    by = visits.by(visits.lin)
    first = services.invite(visits.home, visits.lin, visits.wish(), by, sent_id="form-1")
    again = services.invite(visits.home, visits.lin, visits.wish(), by, sent_id="form-1")
    assert first == again
    assert Visit.objects.count() == 1
    assert Holder.objects.filter(kind="visitor").count() == 1


def test_a_visitor_asks_and_lin_agrees_with_one_tap(visits: Visits) -> None:
    visit = services.ask(visits.community, "1-101", "林", visits.wish(phone="13900000002"))
    assert (visit.unit, visit.host, visit.state) == (visits.home, visits.lin, State.ASKED)
    assert links.shown_now(visit) is None
    path = links.answer_path(visit)
    found = links.visit_to_answer(path.rsplit("/", 1)[1])
    assert found == visit
    agreed = services.approve(visit, visits.by(visits.lin), how=Answered.LINK)
    assert agreed.state == State.EXPECTED
    assert links.visit_to_answer(path.rsplit("/", 1)[1]) is None, "the link answers once"
    with pytest.raises(RuleError):
        services.approve(visit, visits.by(visits.lin))


@pytest.mark.parametrize(
    ("home", "surname"),
    [("1-101", "王"), ("9-999", "林"), ("", "林"), ("1-101", ""), ("1-201", "钱"), ("%", "_")],
)
def test_a_wrong_home_or_name_looks_the_same_and_reaches_nobody(
    visits: Visits, home: str, surname: str
) -> None:
    wrong = services.ask(visits.community, home, surname, visits.wish())
    assert (wrong.unit, wrong.state) == (None, State.ASKED)
    with pytest.raises(RuleError):
        services.approve(wrong, visits.by(visits.lin))
    assert list(services.visits_of(visits.lin)) == []


@pytest.mark.parametrize("home", ["1-101", " 1-101 ", "1号楼1-101", "1 号楼 1-101", "1-101室"])
def test_a_home_is_found_as_people_write_it(visits: Visits, home: str) -> None:
    assert services.find_home(visits.community, home, "林")[0] == visits.home


def test_a_guard_admits_a_walk_in_after_a_call_and_it_is_written_who_agreed(
    visits: Visits,
) -> None:
    guo = BY
    with pytest.raises(RuleError):
        services.walk_in(visits.home, visits.wish(), guo, agreed_by="", call="13800000001")
    with pytest.raises(RuleError):
        services.walk_in(visits.home, visits.wish(), guo, agreed_by="林安", call="")
    visit = services.walk_in(visits.home, visits.wish(), guo, agreed_by="林安", call="13800000001")
    visit.refresh_from_db()
    assert (visit.state, visit.agreed_by, visit.call) == (State.EXPECTED, "林安", "13800000001")
    assert visit.answered_how == Answered.CALL
    lines = str(list(Change.objects.values_list("after", flat=True)))
    assert "13800000001" not in lines


def test_passages_of_the_log_let_a_visit_arrive_and_depart(visits: Visits) -> None:
    visit = services.invite(visits.home, visits.lin, visits.wish(), visits.by(visits.lin))
    came = visits.went(visit, "east")
    assert (visit.state, visit.arrived_at) == (State.INSIDE, came.at)
    visits.went(visit, "east")
    assert visit.arrivals == 1
    left = visits.went(visit, "east_out", out=True)
    assert (visit.state, visit.departed_at) == (State.DEPARTED, left.at)


def test_when_the_time_is_up_everything_ends_and_later_is_forgotten(visits: Visits) -> None:
    visit = services.invite(
        visits.home,
        visits.lin,
        visits.wish(plate="京B88888", phone="13900000002"),
        visits.by(visits.lin),
    )
    visits.went(visit, "east")
    assert services.tick(visits.now + 3 * HOUR) == 1
    assert services.tick(visits.now + 3 * HOUR) == 0
    visit.refresh_from_db()
    assert visit.state == State.ENDED, "no way out here tells who leaves"
    holder = visit.holder
    assert holder is not None
    assert holder.status == HolderStatus.LEFT
    assert {one.status for one in holder.credentials.all()} == {"revoked"}
    assert visit.leave is not None
    assert visit.leave.revoked_at is not None
    assert drive(visits, "京B88888", visits.now + HOUR) != "granted"
    assert services.sweep(visits.now + 20 * DAY) == 0
    assert services.sweep(visits.now + 40 * DAY) == 1
    visit.refresh_from_db()
    assert (visit.name, visit.phone, visit.plate, visit.holder) == ("", "", "", None)
    assert not Holder.objects.filter(kind="visitor").exists()
    assert "赵来" not in str(policy_of(visits).holders)


def test_where_the_gate_sees_who_leaves_a_guest_overstays(visits: Visits) -> None:
    access.add_point(visits.world.portals["west"], "西门出口", Direction.EXIT, (Method.QR,), BY)
    visit = services.invite(visits.home, visits.lin, visits.wish(), visits.by(visits.lin))
    visits.went(visit, "east")
    services.tick(visits.now + 4 * HOUR)
    visit.refresh_from_db()
    assert visit.state == State.OVERSTAYED
    services.depart(visit, visits.now + 5 * HOUR)
    visit.refresh_from_db()
    assert (visit.state, visit.over_at is not None) == (State.ENDED, True)


def test_who_never_comes_is_a_no_show_and_an_unanswered_question_ends(visits: Visits) -> None:
    invited = services.invite(visits.home, visits.lin, visits.wish(), visits.by(visits.lin))
    asked = services.ask(visits.community, "1-101", "林", visits.wish(name="周"))
    services.tick(visits.now + 3 * HOUR)
    invited.refresh_from_db()
    asked.refresh_from_db()
    assert (invited.state, asked.state) == (State.NO_SHOW, State.REFUSED)
    assert asked.why == "not_answered"


def test_a_cleaner_comes_on_the_days_and_hours_agreed_for_weeks_without_the_hub(
    visits: Visits,
) -> None:
    local = visits.now.astimezone(ZoneInfo("Asia/Shanghai"))
    today = local.replace(hour=0, minute=0, second=0)
    weekday = (local.weekday() + 1) % 7
    wish = visits.wish(
        kind=Kind.HELPER,
        days=(weekday,),
        start_min=9 * 60,
        end_min=12 * 60,
        ends_at=visits.now + 80 * DAY,
    )
    visit = services.invite(visits.home, visits.lin, wish, visits.by(visits.lin))
    assert visit.state == State.APPROVED
    for week in (0, 1):
        nine = today + DAY + week * 7 * DAY + 9 * HOUR
        assert show(visits, visit, "east", nine + HOUR) == "granted"
        assert show(visits, visit, "east", nine + 4 * HOUR) != "granted"
        assert show(visits, visit, "east", nine + DAY) != "granted"
    later = today + DAY + 35 * DAY + 10 * HOUR
    assert show(visits, visit, "east", later) != "granted", "not known so far ahead"
    services.tick(later - 5 * DAY)
    assert show(visits, visit, "east", later) == "granted"


def test_a_courier_gets_to_the_parcel_room_once(visits: Visits) -> None:
    by = visits.by(visits.lin)
    with pytest.raises(RuleError):
        services.call_courier(visits.home, visits.lin, by, to_door=False)
    services.set_rules(visits.community, BY, parcel_points=[visits.world.points["west"]])
    visit = services.call_courier(visits.home, visits.lin, by, to_door=False)
    now = visits.now + timedelta(minutes=5)
    assert show(visits, visit, "west", now) == "granted"
    assert show(visits, visit, "east", now) == "pass_wrong_point"
    assert visit.leave is not None
    assert visit.leave.uses == 1
    to_door = services.call_courier(visits.home, visits.lin, by, to_door=True)
    assert show(visits, to_door, "east", now) == "granted"


def test_a_contractor_who_needs_an_escort_does_not_come_in_alone(visits: Visits) -> None:
    wish = visits.wish(kind=Kind.CONTRACTOR, needs_escort=True)
    visit = services.invite(visits.home, visits.lin, wish, visits.by(visits.lin))
    assert show(visits, visit, "east", visits.now + HOUR) == "escort_required"


def test_a_visitor_finds_only_the_way_to_the_host_open(visits: Visits) -> None:
    community = visits.community
    building = visits.home.building
    other = people.add_building(community, "2 号楼", BY)
    for name, where in (("door1", building), ("door2", other)):
        access.change_portal(visits.world.portals[name], BY, building=where)
    rule = community.rules.get(name="访客通行")
    access.change_rule(
        rule,
        BY,
        groups=[VISITORS],
        points=[visits.world.points[k] for k in ("east", "door1", "door2")],
    )
    visit = services.invite(visits.home, visits.lin, visits.wish(), visits.by(visits.lin))
    at = visits.now + HOUR
    assert show(visits, visit, "door1", at) == "granted"
    assert show(visits, visit, "door2", at) == "off_visitor_path"


def test_a_plate_that_a_resident_has_stays_the_resident_s(visits: Visits) -> None:
    visit = services.invite(
        visits.home, visits.lin, visits.wish(plate="京A12345"), visits.by(visits.lin)
    )
    assert visit.state == State.EXPECTED
    assert visit.holder is not None
    assert not visit.holder.credentials.exists()


def test_a_change_moves_window_and_plate_and_the_old_pass_ends(visits: Visits) -> None:
    by = visits.by(visits.lin)
    visit = services.invite(visits.home, visits.lin, visits.wish(plate="京B88888"), by)
    old = visit.leave
    tomorrow = visits.now + DAY
    changed = services.change(
        visit,
        visits.wish(plate="京C77777", starts_at=tomorrow, ends_at=tomorrow + HOUR),
        by,
    )
    assert changed.state == State.APPROVED
    assert old is not None
    old.refresh_from_db()
    assert old.revoked_at is not None
    assert show(visits, changed, "east", tomorrow + timedelta(minutes=5)) == "granted"
    assert drive(visits, "京C77777", tomorrow + timedelta(minutes=5)) == "granted"
    assert drive(visits, "京B88888", tomorrow + timedelta(minutes=5)) != "granted"


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"name": " "}, "name"),
        ({"phone": "abc"}, "phone"),
        ({"plate": "ABC"}, "plate"),
        ({"people": 0}, "people"),
        ({"ends": -HOUR}, "ends_at"),
        ({"starts": -2 * HOUR}, "starts_at"),
        ({"starts": 61 * DAY, "ends": 61 * DAY + HOUR}, "starts_at"),
        ({"ends": 15 * DAY}, "ends_at"),
        ({"days": (1, 1), "end_min": 60}, "days"),
    ],
)
def test_bad_input_gets_a_sentence_at_its_field(
    visits: Visits, changed: dict[str, Any], field: str
) -> None:
    given = dict(changed)
    for key in ("starts", "ends"):
        if key in given:
            given[f"{key}_at"] = visits.now + given.pop(key)
    with pytest.raises(RuleError) as told:
        services.invite(visits.home, visits.lin, visits.wish(**given), visits.by(visits.lin))
    assert told.value.field == field
    assert not Visit.objects.exists()
    assert not Holder.objects.filter(kind="visitor").exists()


def test_a_home_can_not_pile_up_visits(visits: Visits) -> None:
    for number in range(services.MOST_OPEN):
        services.ask(visits.community, "1-101", "林", visits.wish(name=f"客{number}"))
    with pytest.raises(RuleError):
        services.ask(visits.community, "1-101", "林", visits.wish())


# Barred


def barred(visits: Visits, **known: Any) -> Bar:
    return bars.bar(
        visits.community, BY, reason="2027-03-01 电梯内打人", until=visits.now + 30 * DAY, **known
    )


def test_who_is_barred_waits_for_the_office_and_lin_reads_no_more_than_that(
    visits: Visits,
) -> None:
    barred(visits, phone="139 0000 0002")
    by = visits.by(visits.lin)
    visit = services.invite(visits.home, visits.lin, visits.wish(phone="13900000002"), by)
    assert (visit.state, visit.needs_office, visit.holder) == (State.ASKED, True, None)
    assert visit.host_agreed_at is not None
    again = services.approve(visit, by)
    assert again.state == State.ASKED
    agreed = services.approve(visit, BY, how=Answered.OFFICE)
    assert agreed.state == State.EXPECTED


@pytest.mark.parametrize(
    ("known", "asked", "is_barred"),
    [
        ({"plate": "京B88888"}, {"plate": "京B·88888"}, True),
        ({"plate": "京B88888"}, {"plate": "京B99999"}, False),
        ({"name": "赵来", "unit": True}, {}, True),
        ({"name": "赵来", "unit": True}, {"name": "赵去"}, False),
        ({"phone": "13900000002", "unit": True}, {"phone": "13900000002"}, True),
        ({"phone": "13900000002"}, {"phone": ""}, False),
    ],
)
def test_a_bar_knows_by_phone_by_plate_or_by_name_and_home(
    visits: Visits, known: dict[str, Any], asked: dict[str, str], is_barred: bool
) -> None:
    barred(visits, **{k: visits.home if k == "unit" else v for k, v in known.items()})
    visit = services.invite(visits.home, visits.lin, visits.wish(**asked), visits.by(visits.lin))
    assert visit.needs_office is is_barred


def test_a_name_alone_bars_nobody(visits: Visits) -> None:
    with pytest.raises(RuleError):
        barred(visits, name="赵来")


def test_a_bar_ends_by_itself_and_by_an_appeal(visits: Visits) -> None:
    row = barred(visits, phone="13900000002")
    by = visits.by(visits.lin)
    visit = services.invite(visits.home, visits.lin, visits.wish(phone="13900000002"), by)
    assert bars.appeal(visit, "不是我", services.VISITOR)
    with pytest.raises(RuleError):
        bars.answer(row, BY, is_lifted=True, text=" ")
    bars.answer(row, BY, is_lifted=True, text="查看录像,确实不是")
    row.refresh_from_db()
    assert (row.appeal, row.ended_at is not None) == ("granted", True)
    second = services.invite(visits.home, visits.lin, visits.wish(phone="13900000002"), by)
    assert not second.needs_office
    old = barred(visits, phone="13900000003")
    Bar.objects.filter(pk=old.pk).update(until=visits.now - HOUR)
    third = services.invite(visits.home, visits.lin, visits.wish(phone="13900000003"), by)
    assert not third.needs_office


def test_changing_to_a_barred_plate_takes_the_pass_back(visits: Visits) -> None:
    by = visits.by(visits.lin)
    visit = services.invite(visits.home, visits.lin, visits.wish(), by)
    barred(visits, plate="京B88888")
    changed = services.change(visit, visits.wish(plate="京B88888"), by)
    assert (changed.state, changed.needs_office) == (State.ASKED, True)
    assert links.shown_now(changed) is None


def test_health_is_asked_only_by_order_and_deleted_with_the_visit(visits: Visits) -> None:
    health = {"temperature": "36.6", "symptoms": "no"}
    off = services.ask(visits.community, "1-101", "林", visits.wish(health=health))
    assert off.health is None
    services.set_rules(visits.community, BY, asks_health=True)
    on = services.ask(visits.community, "1-101", "林", visits.wish(health=health))
    assert on.health == health
    refused = services.refuse(on, visits.by(visits.lin))
    assert refused.health is None


def test_today_s_list_is_by_the_community_s_day(visits: Visits) -> None:
    by = visits.by(visits.lin)
    now = services.invite(visits.home, visits.lin, visits.wish(), by)
    services.invite(
        visits.home,
        visits.lin,
        visits.wish(starts_at=visits.now + 3 * DAY, ends_at=visits.now + 3 * DAY + HOUR),
        by,
    )
    assert list(services.today(visits.lin)) == [now]
