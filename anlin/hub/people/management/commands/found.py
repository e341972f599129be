"""Found a community: its first manager, and the code that enrols its first edge."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from anlin.hub.audit.log import Actor
from anlin.hub.devices.services import create_node
from anlin.hub.errors import RuleError
from anlin.hub.people.models import Role
from anlin.hub.people.services import add_api_token, add_staff, create_community


class Command(BaseCommand):
    help = "Found a community; prints its secrets once, as one JSON object."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name")
        parser.add_argument("--zone", default="Asia/Shanghai")
        parser.add_argument("--manager", required=True, metavar="USER")
        parser.add_argument("--node", required=True, metavar="NAME")

    def handle(self, *args: Any, **options: Any) -> None:
        by = Actor.command("found")
        try:
            with transaction.atomic():
                community = create_community(options["name"], by, zone=options["zone"])
                staff, password = add_staff(community, options["manager"], Role.MANAGER, by)
                _, token = add_api_token(staff, "found", by)
                node, code = create_node(community, options["node"], by)
        except RuleError as error:
            raise CommandError(str(error)) from error
        found = {
            "community": community.pk,
            "manager": options["manager"],
            "password": password,
            "token": token,
            "node": node.pk,
            "code": code,
        }
        self.stdout.write(json.dumps(found, ensure_ascii=False))
