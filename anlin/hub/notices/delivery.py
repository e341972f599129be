"""Bring stored messages to people: push, then text message, then mail, as each wishes.

What is guaranteed, whatever dies in between:

- A message is stored in the transaction of what it tells. A worker claims it by one conditional
  update; the claim of a worker that was killed runs out, and another takes the message up.
- Push and mail: at least once. A hand-over that was cut off is done again; the repeat carries the
  same topic and tag (push) or Message-ID (mail), so that it replaces the first.
- Text message: at most once. That it begins is committed before it leaves, under a constraint that
  allows one for each message. One that began and was never judged may have left: it is never
  sent again, and the message goes on by mail. Exactly once can't be had: between the gateway's
  taking and our commit, one of the two is lost with the process.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone

from anlin.hub.ids import random_text
from anlin.hub.notices import channels, devices
from anlin.hub.notices.channels import Result, Sending
from anlin.hub.notices.models import OPEN, Attempt, Came, Delivery, PushDevice, Stand, Via
from anlin.hub.permissions import may_sign_in

BATCH = 16
"""So many are handed over at a time: most of that is waiting for others."""

CLAIM = timedelta(seconds=180)
"""Longer than the slowest channel takes: a mail server that waits at each of its eight steps."""

BUDGET_S = 20.0
"""After so long a run of the job ends: what else comes round by the clock wants its turn too."""

CONFIRM_URGENT = timedelta(minutes=2)
CONFIRM = timedelta(minutes=30)
"""So long a phone has to show a push message before the next way is tried."""

BACKOFF = (timedelta(seconds=10), timedelta(minutes=1), timedelta(minutes=5))
"""Before the second, third and fourth try on one way; then the next way."""

URGENT_TRIES = 2
"""What is urgent goes on to the next way sooner."""


def deliver(budget_s: float = BUDGET_S) -> int:
    """Work through what is due, for a while; give how many steps were taken."""
    until = time.monotonic() + budget_s
    done = 0
    while time.monotonic() < until:
        count = step()
        if not count:
            break
        done += count
    return done


def step(now: datetime | None = None) -> int:
    """Claim some messages and take each one step further; give how many there were."""
    at = now or timezone.now()
    rows = claim(at)
    if not rows:
        return 0
    begun = [(row, begin(row, at)) for row in rows]
    flat = [sending for _row, sendings in begun for sending in sendings]
    results: dict[int, Result] = {}
    if flat:
        with ThreadPoolExecutor(max_workers=BATCH) as pool:
            results = {one.sending.attempt: one for one in pool.map(channels.hand_over, flat)}
    after = now or timezone.now()
    for row, sendings in begun:
        if sendings:
            settle(row, [results[one.attempt] for one in sendings], after)
    return len(rows)


def claim(at: datetime, most: int = BATCH) -> list[Delivery]:
    """Take messages that are due, by one update that another worker's can't also win."""
    free = Q(claimed_until=None) | Q(claimed_until__lte=at)
    due = Delivery.objects.filter(free, stand__in=OPEN, next_at__lte=at)
    ids = list(due.order_by("-is_urgent", "next_at", "pk").values_list("pk", flat=True)[:most])
    if not ids:
        return []
    mark = random_text(12)
    due.filter(pk__in=ids).update(claim=mark, claimed_until=at + CLAIM)
    rows = Delivery.objects.filter(claim=mark).select_related("holder__community")
    return list(rows.order_by("-is_urgent", "next_at", "pk"))


def begin(row: Delivery, at: datetime) -> list[Sending]:
    """Write down what is about to be handed over, and commit it; nothing where nothing is left."""
    if not may_sign_in(row.holder):
        return _end(row, Stand.WITHDRAWN)
    if row.ends_at is not None and row.ends_at <= at:
        return _end(row, Stand.UNREACHED)
    if Attempt.objects.filter(delivery=row, via=Via.SMS, came=Came.BEGUN).update(
        came=Came.UNKNOWN, ended_at=at, fault="the hub stopped while it was sent"
    ):
        return _next_way(row, at)
    wishes = channels.wishes_of(row.holder)
    ways = channels.ways_of(row, wishes)
    if row.stand == Stand.SENT or (row.via and row.via not in ways):
        # Nobody confirmed in time, or this way is open no more.
        return _next_way(row, at)
    via = Via(row.via) if row.via else (ways[0] if ways else None)
    if via is None:
        return _end(row, Stand.UNREACHED)
    row.via, row.tries = via, row.tries + 1
    try:
        with transaction.atomic():
            mine = Delivery.objects.filter(pk=row.pk, claim=row.claim, stand__in=OPEN)
            if not mine.update(via=via, tries=row.tries):
                return []
            if via is Via.PUSH:
                return _begin_push(row, at)
            attempt = Attempt.objects.create(delivery=row, via=via, begun_at=at)
    except IntegrityError:
        # A text message of it has left already.
        return _next_way(row, at)
    if via is Via.SMS:
        return [Sending(attempt.pk, via, channels.sms_message(row))]
    return [Sending(attempt.pk, via, channels.mail_message(row, wishes.mail))]


def settle(row: Delivery, results: Sequence[Result], at: datetime) -> None:
    """Write down what came of the hand-overs, and what is next."""
    with transaction.atomic():
        for one in results:
            Attempt.objects.filter(pk=one.sending.attempt).update(
                came=one.came, ended_at=at, reference=one.reference, fault=one.fault
            )
            if one.is_gone:
                devices.gone(one.sending.device)
            elif one.came == Came.TAKEN and one.sending.device:
                PushDevice.objects.filter(pk=one.sending.device).update(reached_at=at)
        if any(one.came == Came.TAKEN for one in results):
            if row.via == Via.PUSH:
                wait = CONFIRM_URGENT if row.is_urgent else CONFIRM
                _set(row, stand=Stand.SENT, next_at=at + wait)
            else:
                _set(row, stand=Stand.REACHED, confirmed_at=at)
            return
        is_over = all(
            one.is_permanent or (one.came == Came.UNKNOWN and row.via == Via.SMS) for one in results
        )
        most = URGENT_TRIES if row.is_urgent else len(BACKOFF) + 1
        if is_over or row.tries >= most:
            _next_way(row, at)
        else:
            _set(row, next_at=at + BACKOFF[row.tries - 1])


def _begin_push(row: Delivery, at: datetime) -> list[Sending]:
    """Begin one hand-over for each device that has not taken the message yet."""
    taken = Attempt.objects.filter(delivery=row, via=Via.PUSH, came=Came.TAKEN).values("device")
    left = row.holder.push_devices.exclude(pk__in=[pk["device"] for pk in taken if pk["device"]])
    ttl_s = int((row.ends_at - at).total_seconds()) if row.ends_at else 0
    sender = channels.push_sender(is_urgent=row.is_urgent, ttl_s=ttl_s)
    sendings = []
    for device in left.order_by("added_at"):
        attempt = Attempt.objects.create(delivery=row, via=Via.PUSH, device=device, begun_at=at)
        message = channels.push_message(row, device.subscription)
        sendings.append(Sending(attempt.pk, Via.PUSH, message, sender, device.pk))
    if not sendings:
        # Every device has it: a worker was killed before it could write so.
        wait = CONFIRM_URGENT if row.is_urgent else CONFIRM
        _set(row, stand=Stand.SENT, next_at=at + wait)
    return sendings


def _next_way(row: Delivery, at: datetime) -> list[Sending]:
    """Go on to the way after this one; without one the message did not get there."""
    order = list(Via)
    tried = order.index(Via(row.via)) if row.via else -1
    open_ways = channels.ways_of(row, channels.wishes_of(row.holder))
    later = [way for way in open_ways if order.index(way) > tried]
    if not later:
        return _end(row, Stand.UNREACHED)
    _set(row, stand=Stand.WAITING, via=later[0], tries=0, next_at=at)
    return []


def _end(row: Delivery, stand: Stand) -> list[Sending]:
    _set(row, stand=stand)
    return []


def _set(row: Delivery, **values: object) -> None:
    """Write the next step and let go of the message; one that was confirmed meanwhile stays so."""
    mine = Delivery.objects.filter(pk=row.pk, claim=row.claim)
    with transaction.atomic():
        mine.filter(stand__in=OPEN).update(**values)
        mine.update(claim="", claimed_until=None)
