"""Print the one-time code of the first page, or nothing where a community is founded already."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from anlin.hub.setup import first


class Command(BaseCommand):
    help = "Make and print the code that founds the first community; an older code is void."

    def handle(self, *args: Any, **options: Any) -> None:
        code = first.new_code()
        if code:
            self.stdout.write(code)
