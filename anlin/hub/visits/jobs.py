"""What the clock does to visits."""

from __future__ import annotations

from anlin.hub.jobs import job
from anlin.hub.visits import services


@job(every_s=20)
def move_visits() -> None:
    services.tick()


@job(every_s=3600)
def forget_visitors() -> None:
    services.sweep()
