"""Give a member of staff a log-in, on the hub's own machine.

The pages have no way to add a police liaison: those accounts are not the property company's to
give.
"""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from anlin.hub.audit.log import Actor
from anlin.hub.errors import RuleError
from anlin.hub.people.models import Community, Role
from anlin.hub.people.services import add_staff


class Command(BaseCommand):
    help = "Add a member of staff; prints the password once, as one JSON object."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("username")
        parser.add_argument("--role", required=True, choices=Role.values)
        parser.add_argument("--name", default="", help="as people know them")
        parser.add_argument("--community", help="its id; not needed where there is one only")

    def handle(self, *args: Any, **options: Any) -> None:
        found = Community.objects.all()
        if options["community"]:
            found = found.filter(pk=options["community"])
        communities = list(found[:2])
        if len(communities) != 1:
            ids = ", ".join(Community.objects.values_list("pk", flat=True)[:20])
            raise CommandError(f"name one community with --community (known: {ids or 'none'})")
        try:
            staff, password = add_staff(
                communities[0],
                options["username"],
                Role(options["role"]),
                Actor.command("add_staff"),
                name=options["name"],
            )
        except RuleError as error:
            raise CommandError(str(error)) from error
        made = {"username": options["username"], "role": staff.role, "password": password}
        self.stdout.write(json.dumps(made, ensure_ascii=False))
