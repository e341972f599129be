"""Tell residents something: written in the transaction of what happened, sent by the worker."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db.models import Q, QuerySet
from django.utils import timezone, translation
from django.utils.functional import Promise

from anlin.core.entities import HolderKind
from anlin.hub.ids import random_text
from anlin.hub.notices.models import OPEN, Delivery, Kind, Stand
from anlin.hub.people.models import (
    Holder,
    HolderStatus,
    Residency,
    ResidencyKind,
    ResidentProfile,
    Unit,
    in_force,
)

Text = str | Promise | Callable[[], str]
"""A text, or what makes it in the language that is active then."""

RECEIPT_CHARS = 24
"""119 random bits: who has it got the message."""

URGENT = frozenset({Kind.VISIT_ASKED, Kind.KEY_LOST})
"""Somebody stands at the gate, or somebody else may have a key."""

GOOD_FOR = {
    Kind.VISIT_ASKED: timedelta(hours=12),
    Kind.VISIT_CAME: timedelta(hours=2),
    Kind.TEST: timedelta(minutes=10),
}
"""After this long nobody needs to hear of it; other kinds stay worth telling for a week."""
_ELSE = timedelta(days=7)

KEPT = timedelta(days=40)
"""Messages are read back so long. Longer than a lease is foretold, so that its key still holds."""

CHILD_YEARS = 14
"""Under this age a guardian is told, not the child (PIPL art. 31)."""


def tell(
    holder: Holder, kind: Kind, title: Text, text: Text, link: str, key: str
) -> Delivery | None:
    """Tell one resident one fact, in their language; told twice, it is one message.

    Call it in the transaction of what happened: either both are there, or neither. Texts that
    are callables are made in the resident's language and the community's time. Gives the message,
    or None where it was told before, or the holder lives here no more.
    """
    if holder.status != HolderStatus.ACTIVE:
        return None
    now = timezone.now()
    with spoken_to(holder):
        made = Delivery(
            community_id=holder.community_id,
            holder=holder,
            key=key[:80],
            kind=kind,
            title=_said(title)[:120],
            text=_said(text),
            link=link[:120],
            is_urgent=kind in URGENT,
            made_at=now,
            ends_at=now + GOOD_FOR.get(kind, _ELSE),
            next_at=now,
            receipt=random_text(RECEIPT_CHARS),
        )
    # A repeat does nothing: it raises no error that would end the caller's transaction.
    Delivery.objects.bulk_create([made], ignore_conflicts=True)
    return made if Delivery.objects.filter(pk=made.pk).exists() else None


def tell_all(
    holders: Iterable[Holder], kind: Kind, title: Text, text: Text, link: str, key: str
) -> None:
    """Tell several residents the same fact, each in their own language."""
    for holder in holders:
        tell(holder, kind, title, text, link, key)


class spoken_to:
    """Speak a holder's language, in their community's time, for a while."""

    def __init__(self, holder: Holder) -> None:
        self._language = translation.override(language_of(holder))
        self._zone = timezone.override(holder.community.zone)

    def __enter__(self) -> None:
        self._language.__enter__()
        self._zone.__enter__()

    def __exit__(self, *error: object) -> None:
        self._zone.__exit__(None, None, None)
        self._language.__exit__(None, None, None)


def language_of(holder: Holder) -> str:
    """Give the language that a holder has chosen; the hub's own where they have not."""
    chosen = ResidentProfile.objects.filter(holder=holder).values_list("language", flat=True)
    return chosen.first() or settings.LANGUAGE_CODE


def who_lives(unit: Unit, at: datetime) -> QuerySet[Holder]:
    """List whom to tell of what concerns a home: who lives there now, no children under 14.

    A home that is let is its tenants': its owner is not told who comes there.
    """
    living = Residency.objects.filter(in_force(at), unit=unit)
    if living.filter(kind=ResidencyKind.TENANT).exists():
        living = living.exclude(kind=ResidencyKind.OWNER)
    return grown(Holder.objects.filter(pk__in=living.values("holder")), at)


def owners_of(unit: Unit, at: datetime) -> QuerySet[Holder]:
    """List the owners of a home."""
    owning = Residency.objects.filter(in_force(at), unit=unit, kind=ResidencyKind.OWNER)
    return grown(Holder.objects.filter(pk__in=owning.values("holder")), at)


def grown(holders: QuerySet[Holder], at: datetime) -> QuerySet[Holder]:
    """Keep active residents who are not known to be under 14."""
    young = Q(
        identity__born_on__gt=years_before(at.astimezone(ZoneInfo("UTC")).date(), CHILD_YEARS)
    )
    return (
        holders.filter(status=HolderStatus.ACTIVE, kind=HolderKind.RESIDENT.value)
        .exclude(young)
        .select_related("community")
    )


def years_before(day: date, years: int) -> date:
    """Give the same day so many years ago; the 28th for the 29th of February."""
    if day.month == 2 and day.day == 29:
        day = day.replace(day=28)
    return day.replace(year=day.year - years)


def messages_of(holder: Holder) -> QuerySet[Delivery]:
    """List what was told to a resident beside notices, the newest first."""
    return Delivery.objects.filter(holder=holder, notice=None).order_by("-made_at", "pk")


def saw(deliveries: QuerySet[Delivery], at: datetime) -> None:
    """Note that a resident has seen messages on a page; nothing more is sent of them."""
    deliveries.filter(seen_at=None).update(seen_at=at)
    deliveries.filter(stand__in=[*OPEN, Stand.UNREACHED]).update(stand=Stand.REACHED)


def got(receipt: str, at: datetime) -> bool:
    """Note that a device has shown a message; say whether there is such a message."""
    found = Delivery.objects.filter(receipt=receipt)
    found.filter(confirmed_at=None).update(confirmed_at=at)
    found.filter(stand__in=OPEN).update(stand=Stand.REACHED)
    return found.exists()


def forget_old(now: datetime) -> int:
    """Delete messages that are no longer kept, and what became of them: how many."""
    old = Delivery.objects.filter(made_at__lt=now - KEPT)
    return old.delete()[1].get("notices.Delivery", 0)


def _said(text: Text) -> str:
    return str(text() if callable(text) and not isinstance(text, Promise) else text)
