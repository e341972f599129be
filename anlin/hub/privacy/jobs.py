"""What runs by the clock: letting go of data, and looking whether faces are gone."""

from __future__ import annotations

from anlin.hub.audit.log import Actor
from anlin.hub.jobs import job
from anlin.hub.people.models import Community
from anlin.hub.privacy import receipts, retention
from anlin.hub.privacy.faces import counter, stored_persons

LONGEST_S = 3600
"""The first run over a log of years; every batch of it stands by itself."""


@job(every_s=3600, longest_s=LONGEST_S)
def let_go() -> None:
    """Let go of everything whose time is over."""
    by = Actor.command("retention")
    for community in Community.objects.order_by("pk"):
        retention.run_all(community, by)


@job(every_s=60)
def confirm_deletions() -> None:
    """Look who has shown that a face is gone."""
    for community in Community.objects.order_by("pk"):
        receipts.refresh_open(community)


@job(every_s=86400)
def count_faces() -> None:
    """Note the day on which so many faces are stored that it has to be filed."""
    persons = stored_persons()
    for community in Community.objects.order_by("pk"):
        counter(community, persons)
