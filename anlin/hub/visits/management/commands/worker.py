"""`python -m anlin.hub.manage worker` runs what comes round by the clock, until it is stopped."""

from __future__ import annotations

import signal
import threading
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from anlin.hub import jobs

LOOK_S = 1.0
"""How often the worker looks: two indexed reads of a small table."""


class Command(BaseCommand):
    help = "Run the jobs that come round by the clock: visits that end, what is no longer kept."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--once", action="store_true", help="Run what is due now, and end.")

    def handle(self, *args: Any, once: bool = False, **options: Any) -> None:
        if once:
            jobs.run_due()
            return
        stop = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: stop.set())
        while not stop.wait(LOOK_S):
            jobs.run_due()
