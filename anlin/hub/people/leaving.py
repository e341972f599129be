"""Proof that what was taken back is gone from every edge and from every device with a table.

A node confirms by saying which revision of the policy it decides by; a device that keeps a table
of its own by a digest over what it read back (`core.board`). Nothing counts because it was sent.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from anlin.core.entities import Status
from anlin.core.event import EventKind
from anlin.core.words import Word
from anlin.hub.access.models import PolicyChange
from anlin.hub.devices.models import Device, Node
from anlin.hub.people.models import Holder, HolderStatus
from anlin.hub.state.models import DeviceTable

SETTLES_AFTER = timedelta(seconds=60)
"""A device whose table is to change says so within seconds of its node's hearing of it."""


class Told(Word):
    """How far one node or device is."""

    CONFIRMED = "confirmed"
    UNTOUCHED = "untouched"
    WAITING = "waiting"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Confirmation:
    """One node or one device with a table: what it has confirmed."""

    name: str
    node: str
    is_node: bool
    told: Told
    is_online: bool = True

    @property
    def is_done(self) -> bool:
        return self.told in (Told.CONFIRMED, Told.UNTOUCHED)


@dataclass(frozen=True, slots=True)
class Deletion:
    """Since when something is to be gone, and who has confirmed that it is."""

    revision: int
    since: datetime
    rows: tuple[Confirmation, ...]

    @property
    def missing(self) -> tuple[Confirmation, ...]:
        return tuple(row for row in self.rows if not row.is_done)


def deletion(holder: Holder, now: datetime) -> Deletion | None:
    """Give the proof of what was taken back from a holder; None where nothing was.

    Of somebody who has moved out that is everything; otherwise the credentials taken back.
    """
    revoked = holder.credentials.filter(status=Status.REVOKED.value)
    entities = list(revoked.values_list("pk", flat=True))
    if holder.status == HolderStatus.LEFT:
        entities.append(holder.pk)
    if not entities:
        return None
    newest = (
        PolicyChange.objects.filter(community=holder.community_id, entity__in=entities)
        .order_by("-revision")
        .first()
    )
    if newest is None:
        return None
    rows: list[Confirmation] = []
    nodes = holder.community.nodes.exclude(enrolled_at=None).order_by("name")
    for node in nodes:
        has_heard = node.rules_as_of >= newest.revision
        rows.append(
            Confirmation(
                node.name,
                node.name,
                True,
                Told.CONFIRMED if has_heard else Told.WAITING,
                node.is_online(now),
            )
        )
        rows += _devices(node, newest.revision, newest.at, has_heard, now)
    return Deletion(newest.revision, newest.at, tuple(rows))


def _devices(
    node: Node, revision: int, since: datetime, has_heard: bool, now: datetime
) -> list[Confirmation]:
    found = Device.objects.filter(node=node, table__isnull=False)
    rows = []
    for device in found.select_related("table", "state").order_by("name"):
        state = getattr(device, "state", None)
        is_online = state is not None and state.is_online is True and node.is_online(now)
        told = _told(device.table, revision, is_online and has_heard, now - since)
        rows.append(Confirmation(device.name, node.name, False, told, is_online))
    return rows


def _told(table: DeviceTable, revision: int, is_listening: bool, age: timedelta) -> Told:
    if table.kind == EventKind.TABLE_REFUSED.value and table.rule:
        return Told.REFUSED
    if table.surplus == 0 and table.wanted == table.held:
        if table.revision >= revision:
            return Told.CONFIRMED
        # It proved an older table and was not told of another one since: nothing in it changed.
        if is_listening and age > SETTLES_AFTER:
            return Told.UNTOUCHED
    return Told.WAITING
