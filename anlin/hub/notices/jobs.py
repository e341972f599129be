"""What the clock does for residents' messages."""

from __future__ import annotations

from django.utils import timezone

from anlin.hub.jobs import job
from anlin.hub.notices import board, delivery, events, services

LONGEST_S = 240
"""A run ends after 20 s and one slow batch; a killed runner's place is free again so soon."""


@job(every_s=2, longest_s=LONGEST_S)
def deliver() -> None:
    delivery.deliver()


@job(every_s=15)
def publish_notices() -> None:
    board.publish_due(timezone.now())


@job(every_s=3600)
def foretell_leases() -> None:
    events.foretell_leases(timezone.now())


@job(every_s=3600)
def forget_messages() -> None:
    services.forget_old(timezone.now())
