from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from anlin.core.entities import HolderKind
from anlin.hub.accounts.services import resident_login
from anlin.hub.audit.log import Actor
from anlin.hub.audit.models import Change
from anlin.hub.conftest import Cast
from anlin.hub.people import services as people
from anlin.hub.people.models import ResidencyKind, StaffProfile, Unit
from anlin.hub.permissions import holders_in_scope, units_in_scope

pytestmark = pytest.mark.django_db(databases=["default", "events"])

BY = Actor.command("test")


def test_staff_without_buildings_see_the_whole_community(cast: Cast) -> None:
    assert set(units_in_scope(cast.guo)) == {cast.lin.residencies.get().unit, _home(cast)}
    assert {cast.lin, cast.wang, cast.qian} <= set(holders_in_scope(cast.guo))


def _home(cast: Cast) -> Unit:
    return cast.wang.residencies.get().unit


def test_staff_with_buildings_see_only_their_homes_and_people(cast: Cast) -> None:
    there = people.add_building(cast.community, "2栋", BY)
    unit = people.add_unit(there, "2-101", BY)
    tenant = people.register_holder(cast.community, "赵一", BY, unit=unit)
    visitor = people.register_holder(
        cast.community, "赵", BY, kind=HolderKind.VISITOR, host=cast.lin.residencies.get().unit
    )
    moved = people.register_holder(cast.community, "钱二", BY, unit=unit)
    people.end_residency(moved.residencies.get(), BY, ends_at=timezone.now())
    people.add_residency(
        moved, _home(cast), ResidencyKind.OWNER, BY, starts_at=timezone.now() - timedelta(days=1)
    )
    cast.guo.buildings.add(there)
    guo = StaffProfile.objects.get(pk=cast.guo.pk)
    assert set(units_in_scope(guo)) == {unit}
    assert set(holders_in_scope(guo)) == {tenant}
    cast.guo.buildings.set([cast.building])
    guo = StaffProfile.objects.get(pk=cast.guo.pk)
    assert {cast.lin, cast.wang, visitor, moved} <= set(holders_in_scope(guo))
    assert tenant not in holders_in_scope(guo)


def test_those_who_left_stay_with_the_building_they_lived_in(cast: Cast) -> None:
    people.move_out(cast.wang, BY)
    cast.guo.buildings.add(cast.building)
    guo = StaffProfile.objects.get(pk=cast.guo.pk)
    assert cast.wang in holders_in_scope(guo)


def test_a_resident_has_one_log_in_and_it_has_no_password(cast: Cast) -> None:
    first = resident_login(cast.lin, BY)
    assert resident_login(cast.lin, BY) == first
    assert not first.user.has_usable_password()
    assert Change.objects.filter(model="people.residentprofile").count() == 1
