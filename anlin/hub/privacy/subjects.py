"""What every app holds about a person: the one list from which is shown, exported and deleted.

An app registers a `Holding` for each way from one of its tables to a holder. A test walks all
tables and fails where a way to a holder (or to a log-in) is in neither list below.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from django.apps import apps
from django.db import models
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from anlin.hub.people.models import Holder


class End(StrEnum):
    """What becomes of the rows when the person is deleted."""

    DELETE = "delete"
    BLANK = "blank"
    """The row is somebody else's too: what it says about this person is emptied."""
    BY_LAW = "by law"
    """Kept, and not told of: an authority asked for it with a legal basis."""


@dataclass(frozen=True, slots=True)
class Holding:
    """One way from a table to a holder: what it holds, what may be shown, how it ends."""

    model: str
    """App and class, such as "access.Credential"; a table that is not installed is passed over."""
    path: str
    """The look-up from a row to the holder."""
    word: Promise
    end: End = End.DELETE
    only: tuple[str, ...] = ()
    """The fields that are about this person; empty: all. The others are somebody else's."""
    blank: Mapping[str, Any] = field(default_factory=dict)

    def table(self) -> type[models.Model] | None:
        """Give the table, or None where its app is not installed."""
        label, name = self.model.split(".")
        if not apps.is_installed(f"anlin.hub.{label}") and label not in _NOT_OURS:
            return None
        return apps.get_model(label, name)

    def rows(self, holder: Holder) -> models.QuerySet[Any]:
        """Select what it holds about a holder."""
        table = self.table()
        if table is None:
            raise LookupError(self.model)
        return table._base_manager.filter(**{self.path: holder.pk}).distinct().order_by("pk")


_NOT_OURS = frozenset({"auth", "account", "mfa", "sessions"})

_HELD: list[Holding] = []


def register(*holdings: Holding) -> None:
    """Add what an app holds."""
    _HELD.extend(holdings)


def holdings() -> Iterator[Holding]:
    """List every holding of an installed app."""
    return (one for one in _HELD if one.table() is not None)


HIDDEN = frozenset(
    {
        "answer_nonce",
        "closed",
        "closed_photo",
        "number_index",
        "password",
        "phone_index",
        "phone_tail",
        "posted",
        "sealed",
        "secret",
        "sent_id",
        "session_key",
        "token",
        "token_index",
        "nonce",
    }
)
"""Fingerprints, closed bytes and proofs of who is asking: no knowledge of anybody, only keys."""

ELSEWHERE: Mapping[str, str] = {
    "people.StaffProfile.user": "a log-in of staff; staff data is no resident's",
    "people.ApiToken.staff": "a program's log-in on behalf of staff",
    "devices.Command.user": "the member of staff who gave an order",
    "access.WatchEntry.proposed_by": "the police liaison",
    "access.WatchEntry.approved_by": "the second person",
    "office.Job.staff": "the clerk who asked for it",
    "accounts.FactorDue.user": "only staff has to have a second factor",
    "visits.Visit.leave": "the visitor's, which `visits.Visit.holder` covers",
    "people.ResidentProfile.user": "covered by `people.ResidentProfile.holder`",
    "resident.Opening.command": "the order, which `resident.Opening.holder` covers",
}
"""Ways to a user or holder that say nothing about a resident, and why."""


register(
    Holding("people.Holder", "pk", _("The entry itself")),
    Holding("people.Identity", "holder", _("Identity document")),
    Holding(
        "people.Attention",
        "holder",
        _("That somebody looks after this person"),
        only=("group", "legal_basis", "source", "valid_until", "recorded_at", "ended_at"),
    ),
    Holding("people.Residency", "holder", _("Homes")),
    Holding("people.Consent", "holder", _("Consents")),
    Holding(
        "people.Consent",
        "guardian",
        _("Consents given for a child"),
        End.BLANK,
        only=("purpose", "text_version", "given_at", "relation", "withdrawn_at"),
        blank={"given_by": "", "guardian": None},
    ),
    Holding("people.ResidentProfile", "holder", _("Log-in for the phone")),
    Holding("access.Credential", "holder", _("Cards, plates, PINs and faces")),
    Holding(
        "access.FaceTemplate",
        "credential__holder",
        _("Face templates, sealed to the gates"),
        only=("credential", "node", "model"),
    ),
    Holding("access.Photo", "credential__holder", _("Photograph")),
    Holding(
        "access.VisitorPass",
        "holder",
        _("QR passes"),
        only=("label", "points", "not_before", "not_after", "uses", "used", "issued_at"),
    ),
    Holding("access.WatchEntry", "credential__holder", _("Watch entries"), End.BY_LAW),
    Holding(
        "access.WatchFeedback", "entry__credential__holder", _("Answers to watch hits"), End.BY_LAW
    ),
    Holding("privacy.Receipt", "holder", _("Receipts of deletion"), End.BLANK),
    Holding("privacy.Confirmation", "receipt__holder", _("Confirmations of deletion"), End.BLANK),
    Holding(
        "privacy.Request",
        "holder",
        _("Requests about their data"),
        End.BLANK,
        blank={"text": "", "answer": "", "asked_by": "", "holder": None},
    ),
    Holding("vehicles.Vehicle", "owner", _("Vehicles")),
    Holding("vehicles.Vehicle", "credential__holder", _("Vehicles by their plate")),
    Holding(
        "vehicles.Vehicle",
        "drivers",
        _("Vehicles driven"),
        End.BLANK,
        only=("plate",),
    ),
    Holding("vehicles.EBike", "owner", _("E-bikes")),
    Holding("visits.VisitWindow", "holder", _("When a visitor may come in")),
    Holding(
        "visits.Visit",
        "holder",
        _("Visits made"),
        End.BLANK,
        only=(
            "unit",
            "kind",
            "state",
            "name",
            "phone",
            "plate",
            "reason",
            "company",
            "health",
            "starts_at",
            "ends_at",
            "asked_at",
            "arrived_at",
            "departed_at",
        ),
        blank={
            "name": "",
            "phone": "",
            "phone_index": "",
            "phone_tail": "",
            "plate": "",
            "reason": "",
            "company": "",
            "health": None,
            "said": "",
            "asked_by": "",
            "call": "",
            "holder": None,
        },
    ),
    Holding(
        "visits.Visit",
        "host",
        _("Visits received"),
        End.BLANK,
        only=("unit", "kind", "state", "starts_at", "ends_at", "answered_at", "answered_how"),
        blank={"agreed_by": "", "answered_by": "", "call": "", "host": None},
    ),
    Holding("resident.Opening", "holder", _("Doors opened from the phone")),
    Holding("resident.RemoteLeave", "child", _("Leave to open doors from a phone")),
    Holding(
        "resident.RemoteLeave",
        "given_by",
        _("Leave given to a child"),
        only=("given_at",),
    ),
    Holding(
        "resident.HouseholdAsk",
        "asked_by",
        _("Asked of the office for the home"),
        only=("unit", "asked_at", "said", "state", "decided_at", "answer"),
    ),
    Holding(
        "resident.HouseholdAsk",
        "holder",
        _("Asked of the office about this person"),
        End.BLANK,
        only=("unit", "asked_at", "name", "residency", "state"),
        blank={"name": "", "said": "", "holder": None},
    ),
    Holding(
        "resident.CareContact",
        "added_by",
        _("Contacts added for the home"),
        End.BLANK,
        only=("unit", "relation", "added_at"),
        blank={"added_by": None},
    ),
    Holding("notices.Delivery", "holder", _("Messages sent to this person")),
    Holding("notices.Attempt", "delivery__holder", _("By which way each message went")),
    Holding("notices.Attempt", "device__holder", _("By which way each message went")),
    Holding("notices.NoticeRead", "holder", _("Notices read")),
    Holding("notices.Wishes", "holder", _("How this person wants to be told")),
    Holding(
        "notices.PushDevice",
        "holder",
        _("Devices that show messages"),
        only=("name", "added_at"),
    ),
    Holding(
        "join.Application",
        "holder",
        _("Application to be registered"),
        only=(
            "unit",
            "kind",
            "name",
            "phone",
            "document",
            "number",
            "born_on",
            "ends_on",
            "wants_face",
            "guardian",
            "relation",
            "stage",
            "made_at",
            "answered_at",
            "reason",
        ),
    ),
    Holding(
        "join.Application",
        "asked_by",
        _("Applications made for family"),
        End.BLANK,
        only=("unit", "kind", "stage", "made_at"),
        blank={"asked_by": None},
    ),
    Holding(
        "join.Application",
        "owner",
        _("Applications answered"),
        End.BLANK,
        only=("unit", "kind", "stage", "owner_at"),
        blank={"owner": None},
    ),
    Holding("office.SearchTerm", "holder", _("By what the search finds this person")),
    Holding(
        "auth.User",
        "resident_profile__holder",
        _("User of the log-in"),
        only=("username", "last_login", "date_joined"),
    ),
    Holding("accounts.SignIn", "user__resident_profile__holder", _("Sessions")),
    Holding(
        "mfa.Authenticator",
        "user__resident_profile__holder",
        _("Second factors"),
        only=("type", "created_at", "last_used_at"),
    ),
    Holding(
        "account.EmailConfirmation",
        "email_address__user__resident_profile__holder",
        _("Confirmations of mail addresses"),
        only=("created", "sent"),
    ),
    Holding("account.EmailAddress", "user__resident_profile__holder", _("Mail addresses")),
)
