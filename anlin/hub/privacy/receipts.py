"""Receipts: that a face is gone from every edge and every terminal, and since when.

Which places have to confirm is read from the policy: each edge that was ever told the template
has a row of its own for it. An edge has confirmed when it decides by a revision in which that row
is a tombstone; a terminal when the digest of what was read back from it, at such a revision, is
the digest of what it should hold.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from anlin.core.event import EventKind
from anlin.hub.access.models import Credential, FaceTemplate, PolicyChange
from anlin.hub.devices.models import Device, DeviceState, Node
from anlin.hub.events.models import Event
from anlin.hub.people.models import Community, Holder, Purpose
from anlin.hub.privacy.logtime import position_before
from anlin.hub.privacy.models import Confirmation, Receipt
from anlin.hub.state.models import DeviceTable

TERMINAL = "face_terminal"
"""The driver whose devices hold photographs of their own."""

_SETTLED = timedelta(minutes=2)
"""An edge tells within seconds that a table is no longer what it should be; what it has not told
after so long was not touched by the deletion."""


def open_receipt(credential: Credential) -> Receipt:
    """Open the receipt of a face that was taken back; there is one for each face."""
    withdrawn = credential.holder.consents.filter(
        purpose=Purpose.FACE, withdrawn_at__isnull=False
    ).exists()
    still = credential.holder.has_consent(Purpose.FACE)
    receipt, _is_new = Receipt.objects.get_or_create(
        credential=credential.pk,
        defaults={
            "community": credential.community,
            "holder": credential.holder,
            "asked_at": timezone.now(),
            "because": "withdrawn" if withdrawn and not still else "taken back",
        },
    )
    return receipt


def refresh(receipt: Receipt) -> Receipt:
    """Look who has confirmed meanwhile, and write it down with the time it happened."""
    with transaction.atomic():
        _expect(receipt)
        open_ones = list(receipt.confirmations.filter(confirmed_at=None))
        nodes = Node.objects.in_bulk({one.node for one in open_ones})
        tables = DeviceTable.objects.in_bulk({one.device for one in open_ones if one.device})
        online = set(
            DeviceState.objects.filter(device__in=tables, is_online=True).values_list(
                "device_id", flat=True
            )
        )
        settled = set(
            receipt.confirmations.filter(
                device="", confirmed_at__lt=timezone.now() - _SETTLED
            ).values_list("node", flat=True)
        )
        for one in open_ones:
            if one.device:
                is_settled = one.node in settled and one.device in online
                _confirm_device(one, tables.get(one.device), is_settled)
            else:
                _confirm_node(one, nodes.get(one.node))
            if one.confirmed_at is not None:
                one.save(update_fields=["confirmed_at", "proof"])
        if receipt.completed_at is None and not _is_open(receipt):
            last = receipt.confirmations.order_by("-confirmed_at").first()
            receipt.completed_at = last.confirmed_at if last is not None else timezone.now()
            receipt.save(update_fields=["completed_at"])
    return receipt


def refresh_open(community: Community) -> int:
    """Look after every receipt that is not complete; give how many are still open."""
    waiting = Receipt.objects.filter(community=community, completed_at=None)
    return sum(refresh(receipt).completed_at is None for receipt in waiting)


def receipts_of(holder: Holder) -> QuerySet[Receipt]:
    """List a holder's receipts, the newest first, with who has to confirm."""
    return holder.receipts.prefetch_related("confirmations").order_by("-asked_at")


def outstanding(receipt: Receipt) -> Sequence[Confirmation]:
    """List who has not confirmed yet."""
    return list(receipt.confirmations.filter(confirmed_at=None).order_by("name"))


def _expect(receipt: Receipt) -> None:
    """Write down who has to confirm, by the policy's own rows for this face."""
    told = {
        change.node: change
        for change in PolicyChange.objects.filter(
            community=receipt.community_id,
            kind="template",
            entity=receipt.credential,
            replaced_by=None,
        )
    }
    known = set(receipt.confirmations.values_list("node", "device"))
    nodes = Node.objects.filter(pk__in=told)
    terminals = Device.objects.filter(node__in=nodes, driver=TERMINAL)
    wanted = [(node.pk, "", node.name) for node in nodes]
    wanted += [(one.node_id, one.pk, one.name) for one in terminals.order_by("name")]
    Confirmation.objects.bulk_create(
        [
            Confirmation(
                receipt=receipt,
                node=node,
                device=device,
                name=name[:130],
                revision=told[node].revision,
            )
            for node, device, name in wanted
            if (node, device) not in known and told[node].data is None
        ],
        ignore_conflicts=True,
    )


def _is_open(receipt: Receipt) -> bool:
    return (
        receipt.confirmations.filter(confirmed_at=None).exists()
        or FaceTemplate.objects.filter(credential=receipt.credential).exists()
    )


def _confirm_node(one: Confirmation, node: Node | None) -> None:
    if node is None:
        one.confirmed_at, one.proof = timezone.now(), "removed"
    elif node.rules_as_of >= one.revision:
        after = position_before(one.receipt.asked_at)
        one.confirmed_at = _applied_at(node, one.revision, after) or timezone.now()
        one.proof = str(node.rules_as_of)


def _confirm_device(one: Confirmation, table: DeviceTable | None, is_settled: bool) -> None:
    """Take a terminal's own word: the digest of what was read back from it.

    A table is told again only when it changes. Where the edge has long decided by the new policy,
    hears the terminal, and has nothing to tell, the face was not in the table.
    """
    if table is None:
        if not Device.objects.filter(pk=one.device).exists():
            one.confirmed_at, one.proof = timezone.now(), "removed"
        return
    is_held = table.kind == EventKind.TABLE_HELD and table.held == table.wanted
    if not is_held or table.surplus:
        return
    if table.revision >= one.revision:
        told = Event.objects.filter(pk=table.position).first()
        one.confirmed_at = told.at if told is not None else table.since
        one.proof = table.held
    elif is_settled:
        one.confirmed_at, one.proof = timezone.now(), table.held


def _applied_at(node: Node, revision: int, after: int) -> datetime | None:
    """Give when a node said that it took up a revision, by its own word in the log."""
    applied = Event.objects.filter(
        pk__gt=after,
        community=node.community_id,
        node=node.pk,
        kind=EventKind.POLICY_APPLIED.value,
        revision__gte=revision,
    )
    return applied.order_by("pk").values_list("at", flat=True).first()
