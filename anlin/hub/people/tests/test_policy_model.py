"""The policy compiled from random records agrees with a plain reading of these records."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from anlin.core.access import NORMAL, Evidence, Presentation, Reason, decide
from anlin.core.entities import Method
from anlin.core.policy import Delta, Policy
from anlin.hub.access import services as access
from anlin.hub.access.policy import compile_changes, delta_for
from anlin.hub.conftest import BY, Cast
from anlin.hub.people import homes
from anlin.hub.people import services as people
from anlin.hub.people.models import Holder, ResidencyKind

pytestmark = pytest.mark.django_db

NOW = datetime.now(UTC).replace(microsecond=0)
KEY = "0A0B0C0D"


@dataclass
class Plain:
    """What anybody would expect of one person with one card: no compiling, no groups."""

    is_suspended: bool = False
    has_left: bool = False
    card: str = "active"
    homes: list[list[datetime | None]] = field(default_factory=list)

    def may_enter(self, at: datetime) -> bool:
        lives_here = any(
            (start is None or start <= at) and (end is None or at < end)
            for start, end in self.homes
        )
        is_standing = not self.is_suspended and not self.has_left
        return is_standing and self.card == "active" and lives_here


def policy_of(cast: Cast) -> Policy:
    delta = delta_for(cast.node, 0)
    assert isinstance(delta, Delta)
    policy = Policy()
    policy.apply(delta)
    return policy


def do(draw: random.Random, cast: Cast, holder: Holder, plain: Plain) -> None:
    """Do one random thing to the records, and to the plain model."""
    card = holder.credentials.filter(method="card").exclude(status="revoked").first()
    rows = list(holder.residencies.order_by("id"))
    now = datetime.now(UTC)
    match draw.choice(("home", "lease", "end", "longer", "suspend", "resume", "lost", "out")):
        case "home" if not plain.has_left:
            unit = draw.choice(list(cast.building.units.order_by("code")))
            people.add_residency(holder, unit, ResidencyKind.OWNER, BY)
        case "lease" if not plain.has_left:
            start = NOW + timedelta(days=draw.randint(-5, 5))
            people.add_residency(
                holder,
                cast.building.units.get(code="1-102"),
                ResidencyKind.TENANT,
                BY,
                starts_at=start,
                ends_at=start + timedelta(days=draw.randint(1, 9)),
            )
        case "end" if rows:
            row = draw.choice(rows)
            if (row.starts_at is None or row.starts_at < now) and row.ends_at is None:
                people.end_residency(row, BY, ends_at=now)
        case "longer" if rows:
            row = draw.choice(rows)
            if row.ends_at is not None and row.ends_at > now:
                homes.set_lease_end(row, row.ends_at + timedelta(days=3), BY)
        case "suspend" if not plain.has_left:
            people.suspend_holder(holder, BY)
            plain.is_suspended = True
        case "resume":
            people.resume_holder(holder, BY)
            plain.is_suspended = plain.has_left = False
        case "lost" if card is not None:
            access.mark_lost(card, BY)
            plain.card = "lost"
        case "out":
            people.move_out(holder, BY)
            plain.has_left, plain.is_suspended, plain.card = True, False, "revoked"
    plain.homes = [[row.starts_at, row.ends_at] for row in holder.residencies.all()]


@settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(seed=st.integers(0, 2**32 - 1))
def test_a_card_opens_exactly_when_its_holder_lives_here_and_stands(cast: Cast, seed: int) -> None:
    draw = random.Random(seed)
    for credential in cast.community.credentials.filter(key=KEY):
        if credential.status != "revoked":
            access.revoke_credential(credential, BY)
    holder = people.register_holder(cast.community, "赵随", BY)
    access.add_card(holder, KEY, BY)
    plain = Plain()
    for _ in range(draw.randint(1, 7)):
        holder.refresh_from_db()
        do(draw, cast, holder, plain)
    policy = policy_of(cast)
    assert compile_changes(cast.community) == 0
    edges = {moment for home in plain.homes for moment in home if moment is not None}
    moments = {NOW + timedelta(days=days, minutes=1) for days in range(1, 30, 3)}
    moments |= edges | {moment - timedelta(microseconds=1) for moment in edges}
    for at in sorted(moment for moment in moments if moment > NOW):
        shown = Presentation(cast.point.pk, Method.CARD, KEY, at, Evidence())
        decision = decide(policy, shown, NORMAL, at)
        assert decision.is_granted == plain.may_enter(at), (at, plain, decision.reason)
        if not decision.is_granted and plain.card == "active" and plain.homes:
            assert decision.reason is not Reason.CREDENTIAL_UNKNOWN
