"""Compile the policy of every community anew and say what had been missed."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from anlin.hub.access.policy import compile_changes
from anlin.hub.people.models import Community


class Command(BaseCommand):
    help = "Compile every community's policy from its records; edges get what differs."

    def handle(self, *args: Any, **options: Any) -> None:
        for community in Community.objects.order_by("pk"):
            missed = compile_changes(community)
            self.stdout.write(
                f"{community.pk} {community.name}: {missed} changes missed, "
                f"revision {community.policy_revision}"
            )
