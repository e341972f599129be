"""Bring both databases to the tables that this version needs."""

from __future__ import annotations

from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand

from anlin.hub.databases import DEFAULT, EVENTS


class Command(BaseCommand):
    help = "Create or upgrade the hub's databases; run before every start."

    def handle(self, *args: Any, **options: Any) -> None:
        for database in (DEFAULT, EVENTS):
            call_command("migrate", database=database, interactive=False, verbosity=0)
