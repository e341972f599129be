"""What the API takes and gives, field by field. Templates, PINs and photographs are never given."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from ninja import Field, Schema

from anlin.core.entities import HolderKind
from anlin.hub.people.models import Purpose, ResidencyKind


class ErrorOut(Schema):
    error: str
    field: str = ""


class ResidencyOut(Schema):
    id: str
    building: str = Field(alias="unit.building.name")
    unit: str = Field(alias="unit.code")
    kind: ResidencyKind
    starts_at: datetime | None
    ends_at: datetime | None


class CredentialOut(Schema):
    id: str
    method: str
    key: str
    status: str
    valid_from: datetime | None
    valid_until: datetime | None


class HolderOut(Schema):
    id: str
    name: str
    label: str
    kind: HolderKind
    status: str
    valid_from: datetime | None
    valid_until: datetime | None


class HolderDetail(HolderOut):
    phone: str
    note: str
    residencies: list[ResidencyOut]
    credentials: list[CredentialOut]
    consents: list[str]

    @staticmethod
    def resolve_consents(holder: Any) -> list[str]:
        return sorted(consent.purpose for consent in holder.consents.filter(withdrawn_at=None))


class HolderPage(Schema):
    holders: list[HolderOut]
    next: str | None


class HolderIn(Schema):
    name: str
    kind: HolderKind = HolderKind.RESIDENT
    building: str = ""
    unit: str = ""
    residency: ResidencyKind = ResidencyKind.OWNER
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    phone: str = ""
    greeting: str = ""
    note: str = ""


class ConsentIn(Schema):
    purpose: Purpose
    given_by: str = ""
    """Who agreed, where that is somebody else."""
    guardian: str = ""
    """Id of the guardian, where they are registered here."""
    relation: str = ""
    """What the guardian is to the child."""


class CredentialIn(Schema):
    method: Literal["card", "secure_card", "plate"]
    value: str
    valid_until: datetime | None = None


class PassIn(Schema):
    visitor: str = ""
    """Name of a visitor; or `holder`."""
    holder: str = ""
    points: list[str] = []
    not_before: datetime
    not_after: datetime
    uses: int = Field(1, ge=0, le=1000)


class PassOut(Schema):
    id: str
    holder: str
    text: str
    """What the QR code says; given once and not kept."""


class PointOut(Schema):
    id: str
    name: str
    portal: str
    portal_name: str
    direction: str
    methods: list[str]
    level: int
    is_enabled: bool
    state: str
    """Of the portal, as the newest events say; empty while nothing is known."""
    since: datetime | None
    node: str | None
    node_is_online: bool
    rules_as_of: int
    newest_rules: int


class ReleaseIn(Schema):
    reason: str
    point: str = ""


class PhoneIn(Schema):
    credential: str


class CommandOut(Schema):
    id: str
    kind: str
    target: str
    by: str
    issued_at: datetime
    expires_at: datetime
    sent_at: datetime | None
    outcome: str
    outcome_detail: str
    acted_at: datetime | None


class EventOut(Schema):
    position: int
    at: datetime
    received_at: datetime
    kind: str
    reason: str
    reason_text: str
    node: str
    seq: int
    revision: int
    hash: str
    subject: str
    place: str
    point: str
    portal: str
    holder: str
    holder_name: str
    label: str
    method: str
    latency_ms: float | None
    picture: str


class EventPage(Schema):
    events: list[EventOut]
    position: int
    """Ask again with `after` set to this."""


class NodeOut(Schema):
    id: str
    name: str
    software: str
    is_online: bool
    enrolled_at: datetime | None
    last_seen_at: datetime | None
    rules_as_of: int
    newest_rules: int
    acked_seq: int
