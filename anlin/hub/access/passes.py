"""QR passes: signed here, checked at the gate without a network.

A pass that rotates is shown with a code that changes each half minute. The secret behind the
codes is drawn from the key that signs passes, and goes to each edge sealed, as that of the PINs
does (`access.pins`).
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from anlin.core import qr
from anlin.core.access import PASS_SKEW
from anlin.core.entities import HolderKind
from anlin.hub.access.models import AccessPoint, NodeKey, VisitorPass
from anlin.hub.access.policy import VISITORS, publish
from anlin.hub.audit.log import Actor, changing, created
from anlin.hub.devices.models import Node
from anlin.hub.errors import RuleError
from anlin.hub.people import services as people
from anlin.hub.people.models import Community, Holder, Unit
from anlin.wire import keys

MAX_POINTS = 12
"""More would not fit a QR code that a cheap reader reads; leave them out to mean all."""


def issue_pass(
    community: Community,
    who: Holder | str,
    by: Actor,
    *,
    not_before: datetime,
    not_after: datetime,
    points: Iterable[AccessPoint] = (),
    uses: int = 1,
    host: Unit | None = None,
    rotates: bool = False,
) -> tuple[VisitorPass, str]:
    """Issue a pass to a holder, or to a visitor by name; give it and the text of its QR code.

    The text is not kept: it can be shown now and never again. No points means wherever the
    rules admit the holder; 0 uses is without limit. With a host, a visitor finds only the
    community's own points and those of the host's building open. One that rotates opens only
    with the code of the minute beside it (`pass_secret`).

    Raises:
        RuleError: a window that ends before it begins or is over, or too many points.
    """
    chosen = sorted(point.pk for point in points)
    # Whole seconds: each character makes the code denser and harder to read.
    not_before, not_after = (moment.replace(microsecond=0) for moment in (not_before, not_after))
    if not_after <= max(not_before, timezone.now()):
        raise RuleError(_("The pass would end before it begins, or is over already."), "not_after")
    if len(chosen) > MAX_POINTS:
        raise RuleError(
            _("%(count)d access points are too many for one QR code; at most %(most)d.")
            % {"count": len(chosen), "most": MAX_POINTS},
            "points",
        )
    with transaction.atomic():
        if isinstance(who, Holder):
            holder = who
        else:
            holder = people.register_holder(
                community,
                who,
                by,
                kind=HolderKind.VISITOR,
                host=host,
                valid_from=not_before - PASS_SKEW,
                valid_until=not_after + PASS_SKEW,
            )
        leave = VisitorPass.objects.create(
            community=community,
            holder=holder,
            label=holder.name,
            points=chosen,
            not_before=not_before,
            not_after=not_after,
            uses=uses,
            rotates=rotates,
            issued_by=by.name,
        )
        created(by, community, leave, action="issue pass")
        if rotates:
            for node in community.nodes.exclude(public_key=""):
                share_pass_key(node, by)
    return leave, pass_text(leave)


def pass_text(leave: VisitorPass) -> str:
    """Sign a pass: the text of its QR code, without the code of one that rotates.

    Whoever comes only at hours of their own has to be known at the gate: the pass alone does not
    say when.
    """
    community, holder = leave.community, leave.holder
    stands_alone = holder.kind == HolderKind.VISITOR and not holder.visit_windows.exists()
    body = qr.Pass(
        id=leave.pk,
        community=community.pk,
        issuer=community.pk,
        holder=holder.pk,
        not_before=leave.not_before,
        not_after=leave.not_after,
        points=tuple(leave.points),
        uses=leave.uses,
        group=VISITORS if stands_alone else None,
        label=holder.label,
        rotates=leave.rotates,
    )
    return qr.issue(body, lambda message: keys.sign(community.issuer_key, message))


def pass_secret(leave: VisitorPass) -> bytes:
    """Give the secret of one pass's codes; it goes to the visitor's own page and nowhere else."""
    return qr.pass_secret(code_secret(leave.community), leave.pk)


def code_secret(community: Community) -> bytes:
    """Give the community's secret behind all codes; nobody finds the signing key from it."""
    return qr.derive(community.issuer_key.encode(), b"anlin pass codes")


def share_pass_key(node: Node, by: Actor) -> None:
    """Seal the secret of codes to a node that has not got it yet."""
    with transaction.atomic():
        if NodeKey.objects.filter(node=node, use=qr.SEALED_AS).exists():
            return
        sealed = keys.seal(node.public_key, code_secret(node.community), qr.SEALED_AS)
        key = NodeKey.objects.create(node=node, use=qr.SEALED_AS, sealed=sealed)
        created(by, node.community, key, action="seal key")
        publish(node.community, sealed_key=[qr.SEALED_AS])


def revoke_pass(leave: VisitorPass, by: Actor) -> None:
    """Take a pass back; every connected edge refuses it within seconds."""
    with transaction.atomic():
        if leave.revoked_at is None:
            with changing(by, leave.community, leave, "revoke pass"):
                leave.revoked_at = timezone.now()
        publish(leave.community, revoked_pass=[leave.pk])


def note_pass_use(pass_id: str, node_id: str) -> None:
    """Count one use of a pass at a node and tell the edges, so that none admits it once more.

    Called where the event log is folded, in that transaction: each event counts once.
    """
    with transaction.atomic():
        leave = (
            VisitorPass.objects.select_for_update()
            .select_related("community")
            .filter(pk=pass_id, community__nodes=node_id)
            .first()
        )
        if leave is None:
            return
        leave.used += 1
        leave.used_by_node = {
            **leave.used_by_node,
            node_id: leave.used_by_node.get(node_id, 0) + 1,
        }
        leave.save(update_fields=["used", "used_by_node"])
        publish(leave.community, pass_use=[leave.pk])
