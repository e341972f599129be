"""Make the search's index anew."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from anlin.hub.office.index import rebuild


class Command(BaseCommand):
    help = "Make the index of the office's search anew from what is registered."

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(f"{rebuild()} people are in the index")
