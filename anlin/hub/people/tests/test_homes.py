"""Homes: proof, ends that come true by themselves, and what looks wrong."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from anlin.core.access import NORMAL, Decision, Evidence, Presentation, Reason, decide
from anlin.core.entities import HolderKind, Method
from anlin.core.policy import Delta, Policy
from anlin.hub.access import services as access
from anlin.hub.access.policy import compile_changes, delta_for
from anlin.hub.audit.models import Change
from anlin.hub.conftest import BY, Cast
from anlin.hub.errors import RuleError
from anlin.hub.people import homes
from anlin.hub.people import services as people
from anlin.hub.people.homes import Flag
from anlin.hub.people.models import (
    Proof,
    Residency,
    ResidencyKind,
    Unit,
    UnitUse,
)

pytestmark = pytest.mark.django_db

NOW = datetime.now(UTC)


def home(cast: Cast, code: str = "1-101") -> Unit:
    return cast.building.units.get(code=code)


def flags(cast: Cast, code: str = "1-101") -> set[Flag]:
    return {one.flag for one in homes.flags_of(home(cast, code), datetime.now(UTC))}


def policy_of(cast: Cast) -> Policy:
    delta = delta_for(cast.node, 0)
    assert isinstance(delta, Delta)
    policy = Policy()
    policy.apply(delta)
    return policy


def at_the_gate(cast: Cast, key: str, at: datetime, method: Method = Method.CARD) -> Decision:
    shown = Presentation(cast.point.pk, method, key, at, Evidence())
    return decide(policy_of(cast), shown, NORMAL, at)


def test_the_end_of_a_lease_ends_every_right_to_the_second(cast: Cast) -> None:
    ends_at = NOW + timedelta(days=30)
    tenant = people.register_holder(
        cast.community,
        "赵租",
        BY,
        unit=home(cast),
        residency=ResidencyKind.TENANT,
        ends_at=ends_at,
    )
    access.add_card(tenant, "0A0B0C0D", BY)
    last = ends_at - timedelta(seconds=1)
    assert at_the_gate(cast, "0A0B0C0D", last).reason is Reason.GRANTED
    assert at_the_gate(cast, "0A0B0C0D", ends_at).reason is Reason.RESIDENCY_ENDED
    # The policy has the end as a time: nothing is compiled when it comes.
    before = cast.community.policy_revision
    assert compile_changes(cast.community) == 0
    assert cast.community.policy_revision == before


def test_a_longer_lease_opens_until_its_new_end(cast: Cast) -> None:
    ends_at = NOW + timedelta(days=30)
    tenant = people.register_holder(
        cast.community,
        "赵租",
        BY,
        unit=home(cast),
        residency=ResidencyKind.TENANT,
        ends_at=ends_at,
    )
    access.add_card(tenant, "0A0B0C0D", BY)
    residency = tenant.residencies.get()
    homes.set_lease_end(residency, ends_at + timedelta(days=365), BY)
    assert at_the_gate(cast, "0A0B0C0D", ends_at).is_granted
    assert compile_changes(cast.community) == 0
    with pytest.raises(RuleError):
        homes.set_lease_end(residency, NOW - timedelta(days=1), BY)
    people.end_residency(residency, BY)
    with pytest.raises(RuleError):
        homes.set_lease_end(residency, NOW + timedelta(days=900), BY)


def test_who_moves_out_gets_nothing_by_an_old_lease_when_let_in_again(cast: Cast) -> None:
    people.add_residency(
        cast.lin, home(cast, "1-102"), ResidencyKind.TENANT, BY, ends_at=NOW + timedelta(days=90)
    )
    people.add_residency(
        cast.lin, home(cast, "1-102"), ResidencyKind.OWNER, BY, starts_at=NOW + timedelta(days=9)
    )
    people.move_out(cast.lin, BY)
    people.resume_holder(cast.lin, BY)
    access.add_card(cast.lin, "0A0B0C0D", BY)
    later = NOW + timedelta(days=30)
    assert at_the_gate(cast, "0A0B0C0D", later).reason is Reason.RESIDENCY_ENDED
    assert compile_changes(cast.community) == 0


def test_nobody_who_has_moved_out_is_given_a_home(cast: Cast) -> None:
    people.move_out(cast.lin, BY)
    with pytest.raises(RuleError, match="林安"):
        people.add_residency(cast.lin, home(cast), ResidencyKind.OWNER, BY)


def test_the_same_home_said_twice_is_written_once(cast: Cast) -> None:
    first = people.add_residency(cast.lin, home(cast, "1-102"), ResidencyKind.OWNER, BY)
    again = people.add_residency(cast.lin, home(cast, "1-102"), ResidencyKind.OWNER, BY)
    assert first == again
    assert cast.lin.residencies.count() == 2


def test_a_home_of_another_community_is_refused(cast: Cast) -> None:
    other = people.create_community("邻村", BY)
    unit = people.add_unit(people.add_building(other, "1栋", BY), "1-101", BY)
    with pytest.raises(RuleError):
        people.add_residency(cast.lin, unit, ResidencyKind.OWNER, BY)


def test_a_certificate_needs_its_number_and_the_owners_word_does_not(cast: Cast) -> None:
    residency = cast.lin.residencies.get()
    assert flags(cast) == {Flag.UNPROVEN}
    with pytest.raises(RuleError):
        homes.prove_residency(residency, Proof.DEED, " ", BY)
    with pytest.raises(RuleError):
        homes.prove_residency(residency, Proof.NONE, "1", BY)
    homes.prove_residency(residency, Proof.OWNER, "", BY)
    assert flags(cast) == set()
    residency = Residency.objects.get(pk=residency.pk)
    assert (residency.proof, residency.proven_by) == (Proof.OWNER, "test")
    assert Change.objects.filter(action="prove residency").count() == 1


def prove(residency: Residency, number: str) -> None:
    homes.prove_residency(residency, Proof.DEED, number, BY)


def test_two_owners_without_one_certificate_are_flagged(cast: Cast) -> None:
    prove(cast.lin.residencies.get(), "D-1")
    second = people.add_residency(
        people.register_holder(cast.community, "赵同", BY), home(cast), ResidencyKind.OWNER, BY
    )
    prove(second, "D-2")
    assert flags(cast) == {Flag.TWO_OWNERS}
    prove(second, "D-1")
    assert flags(cast) == set()


def test_owner_and_tenant_together_are_flagged_unless_the_home_is_let(cast: Cast) -> None:
    prove(cast.lin.residencies.get(), "D-1")
    tenant = people.register_holder(cast.community, "赵租", BY)
    lease = people.add_residency(
        tenant,
        home(cast),
        ResidencyKind.TENANT,
        BY,
        ends_at=NOW + timedelta(days=9),
        proof=Proof.LEASE,
        proof_number="L-1",
    )
    assert flags(cast) == {Flag.OWNER_AND_TENANT}
    unit = home(cast)
    homes.change_unit(
        unit, BY, entrance="2", floor=1, area_m2=None, use=UnitUse.LET, external_code=""
    )
    assert flags(cast) == set()
    people.end_residency(lease, BY)
    homes.change_unit(
        unit, BY, entrance="2", floor=1, area_m2=None, use=UnitUse.VACANT, external_code=""
    )
    assert flags(cast) == {Flag.NOT_VACANT}


def test_one_person_in_two_homes_is_flagged_at_both(cast: Cast) -> None:
    prove(cast.lin.residencies.get(), "D-1")
    prove(cast.wang.residencies.get(), "D-2")
    second = people.add_residency(cast.lin, home(cast, "1-102"), ResidencyKind.FAMILY, BY)
    homes.prove_residency(second, Proof.OWNER, "", BY)
    assert flags(cast) == flags(cast, "1-102") == {Flag.IN_TWO_HOMES}
    assert homes.homes_of(cast.community, NOW, [cast.lin.pk]) == {cast.lin.pk: ["1-101", "1-102"]}
    people.end_residency(second, BY)
    assert flags(cast) == flags(cast, "1-102") == set()


@pytest.mark.parametrize(("people_there", "crowded"), [(4, False), (5, True)])
def test_less_area_than_the_least_for_each_is_crowded(
    cast: Cast, people_there: int, crowded: bool
) -> None:
    homes.change_unit(
        home(cast),
        BY,
        entrance="",
        floor=None,
        area_m2=Decimal(20),
        use=UnitUse.LIVED_IN,
        external_code="",
    )
    for n in range(people_there - 1):
        person = people.register_holder(cast.community, f"林{n}", BY)
        people.add_residency(person, home(cast), ResidencyKind.FAMILY, BY)
    assert (Flag.CROWDED in flags(cast)) == crowded


def test_who_is_suspended_or_gone_does_not_count(cast: Cast) -> None:
    people.move_out(cast.wang, BY)
    assert flags(cast, "1-102") == set()


def test_flags_of_all_homes_are_those_of_each(cast: Cast) -> None:
    people.add_residency(cast.lin, home(cast, "1-102"), ResidencyKind.OWNER, BY)
    at = datetime.now(UTC)
    everywhere = homes.flags(cast.community, at)
    assert everywhere == {unit.pk: homes.flags_of(unit, at) for unit in cast.building.units.all()}


@pytest.mark.parametrize(
    ("field", "value"),
    [("floor", 151), ("floor", -10), ("area_m2", Decimal(0)), ("area_m2", Decimal("5000.01"))],
)
def test_a_floor_or_area_that_no_home_has_is_refused(
    cast: Cast, field: str, value: int | Decimal
) -> None:
    given = {"floor": None, "area_m2": None, field: value}
    with pytest.raises(RuleError) as refused:
        homes.change_unit(
            home(cast),
            BY,
            entrance="",
            use=UnitUse.OTHER,
            external_code="",
            **given,  # type: ignore[arg-type]
        )
    assert refused.value.field == field


@pytest.mark.parametrize(("x", "y"), [(None, 0.5), (0.5, None), (1.01, 0.5), (0.5, -0.1)])
def test_a_building_stands_on_the_plan_or_nowhere(
    cast: Cast, x: float | None, y: float | None
) -> None:
    with pytest.raises(RuleError):
        homes.place_building(cast.building, x, y, BY)
    homes.place_building(cast.building, 0.25, 1.0, BY)
    homes.place_building(cast.building, None, None, BY)


def test_a_household_shows_who_lives_there_lived_there_and_will(cast: Cast) -> None:
    staff = people.register_holder(cast.community, "郭新", BY, kind=HolderKind.STAFF)
    people.add_residency(
        staff, home(cast, "1-102"), ResidencyKind.TENANT, BY, starts_at=NOW + timedelta(days=5)
    )
    found = homes.household(home(cast, "1-102"), datetime.now(UTC))
    assert [row.holder for row in found.now] == [cast.wang]
    assert [row.holder for row in found.before] == [cast.qian]
    assert [row.holder for row in found.to_come] == [staff]
