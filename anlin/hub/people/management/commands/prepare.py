"""Bring both databases to the tables that this version needs."""

from __future__ import annotations

from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand
from django.db import connections
from django.db.migrations.executor import MigrationExecutor

from anlin.hub import fresh
from anlin.hub.access.policy import compile_changes
from anlin.hub.databases import DEFAULT, EVENTS
from anlin.hub.people.models import Community


class Command(BaseCommand):
    help = "Create or upgrade the hub's databases; run before every start."
    # What they look at are faults of this software, not of its data: tests find them, and a
    # start that looks again takes seconds longer.
    requires_system_checks = ()

    def handle(self, *args: Any, **options: Any) -> None:
        is_upgrade = False
        for database in (DEFAULT, EVENTS):
            if fresh.is_new(database):
                fresh.make_tables(database)
                continue
            executor = MigrationExecutor(connections[database])
            if executor.migration_plan(executor.loader.graph.leaf_nodes()):
                is_upgrade = True
                call_command(
                    "migrate",
                    database=database,
                    interactive=False,
                    verbosity=0,
                    skip_checks=True,
                )
        if is_upgrade:
            # New fields change what edges are told of records that nobody has touched.
            for community in Community.objects.order_by("pk"):
                compile_changes(community)
