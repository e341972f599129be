"""Make who is inside, who holds what and how far tables stand anew from the event log."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from anlin.hub.people.models import Community
from anlin.hub.state.fold import rebuild


class Command(BaseCommand):
    help = "Make who is inside, who holds what and how far tables stand anew from the event log."

    def handle(self, *args: Any, **options: Any) -> None:
        for community in Community.objects.order_by("pk"):
            self.stdout.write(f"{community.pk}: {rebuild(community)} events read")
