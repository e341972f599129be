"""The worker of one job: started by a page, ends with the job."""

from __future__ import annotations

import logging
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from anlin.hub.office.models import Job
from anlin.hub.office.work import do


class Command(BaseCommand):
    help = "Do one job of the office; started by the page that shows it."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("job")
        parser.add_argument("attempt", type=int)

    def handle(self, *args: Any, job: str, attempt: int, **options: Any) -> None:
        asked = Job.objects.select_related("community", "staff__user").filter(
            pk=job, attempt=attempt
        )
        found = asked.first()
        if found is None:
            logging.getLogger(__name__).warning("job %s: nobody asks for it any more", job)
            return
        do(found)
