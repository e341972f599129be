"""Empty a whole database, logs and all: the guard of the logs stands aside for that."""

from __future__ import annotations

from typing import Any

from django.core.management.commands import flush

from anlin.hub.audit.guard import lower_guard, raise_guard
from anlin.hub.databases import DEFAULT


class Command(flush.Command):
    def handle(self, **options: Any) -> None:
        guarded = options["database"] == DEFAULT
        if guarded:
            lower_guard()
        try:
            super().handle(**options)
        finally:
            if guarded:
                raise_guard()
