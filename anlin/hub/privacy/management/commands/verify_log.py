"""Walk the chain of hashes of every node's log, over what was forgotten and let go."""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import BaseCommand

from anlin.hub.events.models import NodeLog
from anlin.hub.privacy.forget import verify


class Command(BaseCommand):
    help = "Walk the chain of hashes of every node's log."

    def handle(self, *args: Any, **options: Any) -> None:
        is_sound = True
        for node in NodeLog.objects.exclude(pk="").order_by("pk").values_list("pk", flat=True):
            proof = verify(node)
            is_sound = is_sound and not proof.faults
            self.stdout.write(
                f"{node}: {proof.events} events from {proof.kept_from}, "
                f"{proof.forgotten} forgotten, {proof.last_words} last words, "
                f"{len(proof.faults)} faults"
            )
            for fault in proof.faults:
                self.stdout.write(f"  {fault}")
        if not is_sound:
            sys.exit(1)
