"""The seeded community: its size, and that what it holds decides as the story expects."""

from __future__ import annotations

from pathlib import Path

import pytest

from anlin.core.entities import Method
from anlin.core.policy import Policy

pytestmark = pytest.mark.django_db(databases=["default", "events"], transaction=True)


def test_it_has_the_size_of_the_real_one_and_its_policy_applies(
    tmp_path: Path, settings: object
) -> None:
    settings.BROKER_HOME = tmp_path / "broker"  # type: ignore[attr-defined]
    from anlin.hub.access.policy import delta_for
    from anlin.hub.devices.models import Node
    from anlin.hub.people.models import Holder, Unit
    from anlin.sim import community, town

    made, code = community.seed(tmp_path)
    assert code
    assert town.load(tmp_path) == made
    assert Unit.objects.count() == 325
    assert 880 <= Holder.objects.filter(kind="resident").count() <= 930

    policy = Policy()
    policy.apply(delta_for(Node.objects.get(pk=made.node), 0))
    assert len(policy.portals) == 2 + 1 + 4
    assert len(policy.points) == 14
    assert len(policy.devices) == 7 + 3
    assert policy.credential_for(Method.CARD, made.cast["林"].card) is not None
    assert policy.credential_for(Method.PLATE, made.plate) is not None
    assert community.resident_phone(made) == community.resident_phone(made) == "13800000001"
    logins = community.new_logins(Holder.objects.all()[0].community)
    assert sorted(logins) == ["guo", "meng"]
    assert logins != community.new_logins(Holder.objects.all()[0].community)
