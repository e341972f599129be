"""Watch entries: a legal basis, two persons, an end; and the property never knows."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from anlin.core.entities import Method
from anlin.hub.access import services as access
from anlin.hub.access.models import PolicyChange, Verdict, WatchEntry, WatchState
from anlin.hub.access.policy import compile_changes
from anlin.hub.access.tests.test_policy import replica
from anlin.hub.access.watch import known_to, may_know
from anlin.hub.audit.log import Actor, Via
from anlin.hub.audit.models import Change
from anlin.hub.conftest import BY, Cast
from anlin.hub.errors import RuleError
from anlin.hub.people import services as people
from anlin.hub.people.models import Role, StaffProfile

pytestmark = pytest.mark.django_db(databases=["default", "events"])


def person(cast: Cast, name: str, role: Role = Role.LIAISON) -> tuple[Actor, StaffProfile]:
    staff, _ = people.add_staff(cast.community, name, role, BY)
    return Actor.staff(staff, Via.PAGE), staff


def asked(**changed: Any) -> dict[str, Any]:
    return {
        "label": "被盗车辆",
        "source": "派出所 2026-114 号函",
        "legal_basis": "反有组织犯罪法第四十条",
        "valid_until": timezone.now() + timedelta(days=90),
        "method": Method.PLATE,
        "key": "京A·12345",
        **changed,
    }


def test_an_entry_is_in_force_only_after_a_second_person_approved_it(cast: Cast) -> None:
    first, _ = person(cast, "liaison")
    second, _ = person(cast, "liaison-2")
    entry = access.propose_watch(cast.community, first, **asked())
    assert replica(cast.node).watched(Method.PLATE, "京A12345") == ()
    with pytest.raises(RuleError, match="second person"):
        access.approve_watch(entry, first)
    with pytest.raises(RuleError, match="second person"):
        access.approve_watch(entry, BY)
    access.approve_watch(entry, second)
    found = replica(cast.node).watched(Method.PLATE, "京A12345")
    assert [one.id for one in found] == [entry.pk]
    with pytest.raises(RuleError, match="no proposal"):
        access.approve_watch(entry, second)
    assert compile_changes(cast.community) == 0


def test_the_database_itself_refuses_one_person_for_both(cast: Cast) -> None:
    first, staff = person(cast, "liaison")
    entry = access.propose_watch(cast.community, first, **asked())
    with pytest.raises(IntegrityError), transaction.atomic():
        WatchEntry.objects.filter(pk=entry.pk).update(approved_by=staff.user)


def test_an_ended_entry_leaves_neither_the_edge_nor_the_history_a_trace(cast: Cast) -> None:
    first, _ = person(cast, "liaison")
    second, _ = person(cast, "liaison-2")
    entry = access.propose_watch(cast.community, first, **asked())
    access.approve_watch(entry, second)
    policy = replica(cast.node)
    with pytest.raises(RuleError, match="why"):
        access.end_watch(entry, second, " ")
    access.end_watch(entry, second, "车已找到")
    assert replica(cast.node, policy).watched(Method.PLATE, "京A12345") == ()
    told = PolicyChange.objects.filter(kind="watch_entry")
    assert [change.data for change in told] == [None]
    with pytest.raises(RuleError, match="ended already"):
        access.end_watch(entry, second, "车已找到")
    assert entry.state == WatchState.ENDED


@pytest.mark.parametrize(
    ("changed", "field", "said"),
    [
        ({"valid_until": timedelta(days=366)}, "valid_until", "365 days"),
        ({"valid_until": timedelta(seconds=-1)}, "valid_until", "over already"),
        ({"source": " "}, "source", "letter"),
        ({"legal_basis": ""}, "legal_basis", "law"),
        ({"label": ""}, "label", "Say who"),
        ({"roles": [Role.GUARD]}, "roles", "property staff"),
        ({"roles": [Role.MANAGER]}, "roles", "property staff"),
        ({"roles": [Role.INSTALLER]}, "roles", "property staff"),
        ({"key": "A12345"}, "key", "province"),
        ({"method": Method.CARD, "key": "zz"}, "key", "4 to 32"),
        ({"method": Method.PIN, "key": "240817"}, "method", "plate or a card"),
        ({"method": None}, "method", "plate or a card"),
    ],
)
def test_an_entry_without_basis_end_or_sense_is_refused(
    cast: Cast, changed: dict[str, Any], field: str, said: str
) -> None:
    first, _ = person(cast, "liaison")
    if "valid_until" in changed:
        changed = {"valid_until": timezone.now() + changed["valid_until"]}
    with pytest.raises(RuleError, match=said) as refused:
        access.propose_watch(cast.community, first, **asked(**changed))
    assert refused.value.field == field
    assert not WatchEntry.objects.exists()


def test_a_program_may_not_propose(cast: Cast) -> None:
    with pytest.raises(RuleError, match="named person"):
        access.propose_watch(cast.community, BY, **asked())


def test_one_of_our_own_cards_can_be_watched_for_and_a_pin_never(cast: Cast) -> None:
    first, _ = person(cast, "liaison")
    card = access.add_card(cast.qian, "04A1B2C3", BY)
    given = asked(method=None, key="", credential=card)
    entry = access.propose_watch(cast.community, first, **given)
    assert (entry.method, entry.key) == ("card", "04A1B2C3")
    access.set_pin(cast.qian, BY)
    pin = cast.qian.credentials.get(method="pin")
    with pytest.raises(RuleError, match="PIN"):
        access.propose_watch(cast.community, first, **asked(method=None, credential=pin))


def test_only_the_liaison_and_the_named_roles_may_know(cast: Cast) -> None:
    first, liaison = person(cast, "liaison")
    _, auditor = person(cast, "auditor", Role.AUDITOR)
    _, committee = person(cast, "committee", Role.COMMITTEE)
    entry = access.propose_watch(cast.community, first, **asked(roles=[Role.AUDITOR]))
    for staff, knows in (
        (liaison, True),
        (auditor, True),
        (committee, False),
        (cast.guo, False),
        (cast.meng, False),
    ):
        assert may_know(entry, staff) is knows, staff
        assert bool(known_to(staff)) is knows
    elsewhere = people.create_community("邻村", BY)
    stranger, _ = people.add_staff(elsewhere, "liaison-3", Role.LIAISON, BY)
    assert not may_know(entry, stranger)


def test_the_change_log_names_no_plate_and_no_letter(cast: Cast) -> None:
    first, _ = person(cast, "liaison")
    access.propose_watch(cast.community, first, **asked())
    line = Change.objects.get(action="propose watch")
    assert line.who == "liaison"
    written = str(line.after)
    assert "京A12345" not in written
    assert "114" not in written


def test_feedback_is_only_for_hits_of_the_entry(cast: Cast) -> None:
    first, _ = person(cast, "liaison")
    entry = access.propose_watch(cast.community, first, **asked())
    with pytest.raises(RuleError, match="no hit"):
        access.note_feedback(entry, 12, Verdict.WRONG, first)
