from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection

from anlin.hub.access.policy import compile_changes
from anlin.hub.audit.models import Change
from anlin.hub.conftest import BY, Cast
from anlin.hub.errors import RuleError
from anlin.hub.people import services as people
from anlin.hub.people.models import Holder, Residency, ResidencyKind, Unit

pytestmark = pytest.mark.django_db


def test_a_list_of_homes_is_taken_over_whole_with_a_line_for_each_person(cast: Cast) -> None:
    rows = [
        people.HomeRow("2栋", f"2-{n // 2}01", f"住户{n}", ResidencyKind.FAMILY) for n in range(40)
    ]
    holders = people.import_homes(cast.community, rows, BY)
    assert [holder.name for holder in holders] == [row.name for row in rows]
    assert Unit.objects.filter(building__name="2栋").count() == 20
    assert Residency.objects.filter(unit__building__name="2栋").count() == 40
    assert Change.objects.filter(action="import", model="people.holder").count() == 40
    assert compile_changes(cast.community) == 0


def test_a_bad_row_is_named_and_nothing_is_taken_over(cast: Cast) -> None:
    before = Holder.objects.count()
    rows = [people.HomeRow("2栋", "2-101", "林"), people.HomeRow("2栋", "2-101", "  ")]
    with pytest.raises(RuleError, match="2"):
        people.import_homes(cast.community, rows, BY)
    assert Holder.objects.count() == before


def test_a_phone_is_found_by_its_digits_and_stands_closed_in_the_database(cast: Cast) -> None:
    assert Holder.objects.get(phone_index=people.phone_index("13800001101")) == cast.lin
    assert Holder.objects.get(pk=cast.lin.pk).phone == "138 0000 1101"
    with connection.cursor() as cursor:
        cursor.execute("SELECT phone FROM people_holder WHERE id = %s", [cast.lin.pk])
        assert "1101" not in str(cursor.fetchone())


def test_a_change_is_logged_with_before_and_after_and_by_whom(cast: Cast) -> None:
    people.change_holder(cast.lin, BY, greeting="林先生", phone="139")
    line = Change.objects.latest("id")
    assert (line.who, line.via, line.action) == ("test", "command", "change")
    assert line.before == {"greeting": ""}
    assert line.after == {"greeting": "林先生"}


def test_a_residency_cannot_end_before_it_starts(cast: Cast) -> None:
    now = datetime.now(UTC)
    home = cast.building.units.get(code="1-101")
    with pytest.raises(RuleError):
        people.add_residency(
            cast.lin,
            home,
            ResidencyKind.TENANT,
            BY,
            starts_at=now,
            ends_at=now - timedelta(days=1),
        )


def test_staff_get_a_password_of_their_own_and_it_is_not_kept(cast: Cast) -> None:
    assert cast.meng.user.check_password(cast.passwords["meng"])
    assert cast.passwords["meng"] not in str(list(Change.objects.values()))
    assert cast.passwords["meng"] != cast.passwords["guo"]
