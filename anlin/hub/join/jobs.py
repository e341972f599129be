"""What comes round by the clock: requests that nobody answers end."""

from __future__ import annotations

from django.utils import timezone

from anlin.hub.jobs import job
from anlin.hub.join import services


@job(every_s=3600)
def expire_applications() -> None:
    """End requests that nobody has answered for a month, and delete what was typed."""
    services.expire(timezone.now())
