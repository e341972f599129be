"""Let go of everything whose time is over, now; --dry-run only says what that would be."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from anlin.hub.audit.log import Actor
from anlin.hub.people.models import Community
from anlin.hub.privacy import retention


class Command(BaseCommand):
    help = "Let go of everything whose time is over."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="only say what it would be")

    def handle(self, *args: Any, **options: Any) -> None:
        by = Actor.command("let_go")
        for community in Community.objects.order_by("pk"):
            if options["dry_run"]:
                for one in retention.preview(community):
                    more = "+" if one.left.is_more else ""
                    self.stdout.write(f"{community.pk} {one.rule.kind}: {one.left.due}{more} due")
                continue
            for run in retention.run_all(community, by):
                self.stdout.write(f"{community.pk} {run.kind}: {run.count}")
