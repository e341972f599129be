"""What an operator does on the hub's own machine."""

from __future__ import annotations

import io
import json

import pytest
from django.core.management import CommandError, call_command
from django.db.migrations.executor import MigrationExecutor

from anlin.hub.access.models import PolicyChange
from anlin.hub.conftest import BY, Cast
from anlin.hub.people import services as people
from anlin.hub.people.models import Community, Holder, Role, StaffProfile

pytestmark = pytest.mark.django_db(databases=["default", "events"])


def test_a_police_liaison_gets_a_log_in_on_the_machine_itself(cast: Cast) -> None:
    out = io.StringIO()
    call_command("add_staff", "liaison", "--role", "liaison", stdout=out)
    made = json.loads(out.getvalue())
    staff = StaffProfile.objects.get(user__username="liaison")
    assert staff.role == Role.LIAISON
    assert staff.user.check_password(made["password"])
    with pytest.raises(CommandError, match="liaison"):
        call_command("add_staff", "liaison", "--role", "liaison")


def test_of_several_communities_one_has_to_be_named(cast: Cast) -> None:
    other = people.create_community("邻村", BY)
    with pytest.raises(CommandError, match="--community"):
        call_command("add_staff", "liaison", "--role", "guard")
    call_command(
        "add_staff", "liaison", "--role", "guard", "--community", other.pk, stdout=io.StringIO()
    )
    assert StaffProfile.objects.get(user__username="liaison").community == other


def test_an_upgrade_tells_edges_what_new_fields_say_and_a_plain_start_does_not(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    Holder.objects.filter(pk=cast.lin.pk).update(needs_time=True)
    call_command("prepare")
    newest = PolicyChange.objects.filter(entity=cast.lin.pk, replaced_by=None)

    def told() -> bool:
        data = newest.get().data
        assert data is not None
        return bool(data["needs_time"])

    assert not told()
    monkeypatch.setattr(MigrationExecutor, "migration_plan", lambda *_: ["something"])
    monkeypatch.setattr(
        "anlin.hub.people.management.commands.prepare.call_command", lambda *_, **__: None
    )
    call_command("prepare")
    assert told()
    assert Community.objects.get().policy_revision == newest.get().revision
