"""How often somebody may try something; counted in the database, so a restart forgets nothing."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import F
from django.http import HttpRequest
from django.utils import timezone

from anlin.hub import vault
from anlin.hub.accounts.models import Tries

_SWEPT = 50
"""Rows that are over, taken away with each new one: the table stays as small as what runs."""

SHARED = frozenset({"127.0.0.1", "::1"})
"""Where everybody comes from who comes through the front (TLS) on this machine."""

SHARED_FACTOR = 20
"""One shared address stands for a community's worth of people, not for one."""


@dataclass(frozen=True, slots=True)
class Limit:
    """At most so many in a stretch of time, which begins with the first."""

    name: str
    most: int
    within: timedelta


def take(limit: Limit, who: str) -> bool:
    """Count one try and say whether it is still allowed.

    It is counted before it is carried out, and in one statement: a hundred tries at once are a
    hundred. One that is refused does not make the wait longer.
    """
    key, now = _key(limit, who), timezone.now()
    row = Tries.objects.filter(key=key)
    for _again in range(2):
        if row.filter(ends_at__gt=now, count__lt=limit.most).update(count=F("count") + 1):
            return True
        if row.filter(ends_at__lte=now).update(count=1, ends_at=now + limit.within):
            return True
        if row.exists():
            return False
        try:
            with transaction.atomic():
                Tries.objects.create(key=key, count=1, ends_at=now + limit.within)
        except IntegrityError:
            continue  # another process began the same stretch a moment ago
        _sweep(now)
        return True
    return False


def is_spent(limit: Limit, who: str) -> bool:
    """Say whether the next `take` would be refused, without counting."""
    row = Tries.objects.filter(key=_key(limit, who), ends_at__gt=timezone.now())
    return row.filter(count__gte=limit.most).exists()


def wait_s(limit: Limit, who: str) -> int:
    """Give the seconds until the stretch that runs is over; 0 where none does."""
    row = Tries.objects.filter(key=_key(limit, who)).first()
    return 0 if row is None else max(0, int((row.ends_at - timezone.now()).total_seconds()) + 1)


def forget(limit: Limit, who: str) -> None:
    """Begin anew, after a success."""
    Tries.objects.filter(key=_key(limit, who)).delete()


def address_of(request: HttpRequest) -> str:
    """Give the address that a request comes from, as far as it can be believed."""
    if settings.IS_BEHIND_PROXY:
        # The last entry is our own proxy's word; what stands before it anybody may have written.
        last = request.headers.get("X-Forwarded-For", "").rpartition(",")[2].strip()
        if last:
            return last[:45]
    return str(request.META.get("REMOTE_ADDR", ""))[:45]


def take_of_address(limit: Limit, request: HttpRequest) -> bool:
    """Count one try of an address; one that many share has many times as much."""
    address = address_of(request)
    return take(_widened(limit, address), address)


def address_is_spent(limit: Limit, request: HttpRequest) -> bool:
    """Say whether an address has no try left, without counting."""
    address = address_of(request)
    return is_spent(_widened(limit, address), address)


def _widened(limit: Limit, address: str) -> Limit:
    if address not in SHARED:
        return limit
    return Limit(limit.name, limit.most * SHARED_FACTOR, limit.within)


def _key(limit: Limit, who: str) -> str:
    return vault.fingerprint(f"{limit.name} {who}", "limit")


def _sweep(now: datetime) -> None:
    over = Tries.objects.filter(ends_at__lte=now).values_list("pk", flat=True)[:_SWEPT]
    Tries.objects.filter(pk__in=list(over), ends_at__lte=now).delete()
