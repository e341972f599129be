from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from anlin.core import qr
from anlin.core.access import NORMAL, Presentation, Reason, State, decide
from anlin.core.entities import Method
from anlin.hub.access import services as access
from anlin.hub.access.tests.test_policy import replica
from anlin.hub.conftest import BY, Cast
from anlin.hub.errors import RuleError
from anlin.wire import keys

pytestmark = pytest.mark.django_db


def test_a_visitors_pass_opens_once_offline_and_not_after_it_was_taken_back(cast: Cast) -> None:
    now = datetime.now(UTC)
    before = replica(cast.node)
    leave, text = access.issue_pass(
        cast.community,
        "赵访",
        BY,
        not_before=now,
        not_after=now + timedelta(hours=2),
        points=[cast.point],
    )
    issuers = {issuer.id: issuer.public_key for issuer in before.issuers.values()}
    read = qr.read(text, issuers, keys.verify)
    shown = Presentation(cast.point.pk, Method.QR, text, now, leave=read)
    # An edge that has not heard of Zhao lets him in by the group that the pass was signed for.
    for policy in (before, replica(cast.node)):
        assert decide(policy, shown, NORMAL, now).reason is Reason.GRANTED
        used = State(pass_used=1)
        assert decide(policy, shown, used, now).reason is Reason.PASS_USED
    access.revoke_pass(leave, BY)
    assert decide(replica(cast.node), shown, NORMAL, now).reason is Reason.PASS_REVOKED


def test_a_residents_own_pass_falls_with_the_residency(cast: Cast) -> None:
    now = datetime.now(UTC)
    end = now + timedelta(days=1)
    _, text = access.issue_pass(cast.community, cast.qian, BY, not_before=now, not_after=end)
    policy = replica(cast.node)
    issuers = {issuer.id: issuer.public_key for issuer in policy.issuers.values()}
    shown = Presentation(
        cast.point.pk, Method.QR, text, now, leave=qr.read(text, issuers, keys.verify)
    )
    assert decide(policy, shown, NORMAL, now).reason is Reason.RESIDENCY_ENDED


def test_a_pass_that_is_over_or_too_wide_is_not_issued(cast: Cast) -> None:
    now = datetime.now(UTC)
    with pytest.raises(RuleError):
        access.issue_pass(
            cast.community, "赵访", BY, not_before=now - timedelta(2), not_after=now - timedelta(1)
        )
    with pytest.raises(RuleError):
        access.issue_pass(
            cast.community,
            "赵访",
            BY,
            not_before=now,
            not_after=now + timedelta(1),
            points=[cast.point] * 13,
        )
