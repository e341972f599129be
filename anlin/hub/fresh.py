"""A new hub's tables, made from what the models are now.

Migrations bring a hub that has been running to this version. To run all of them on nothing takes
half a minute of processor time, because each step works out every table anew; a new hub has no
steps behind it. What either way makes is the same, and a test compares the two.
"""

from __future__ import annotations

from django.apps import apps
from django.core.management.sql import emit_post_migrate_signal
from django.db import connections, router
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder


def is_new(database: str) -> bool:
    """Say whether a database has no table yet."""
    return not connections[database].introspection.table_names()


def make_tables(database: str) -> None:
    """Make every table of a database that has none, and note all migrations as done.

    All in one transaction: killed half-way it leaves no table, and the next start begins anew.
    """
    connection = connections[database]
    loader = MigrationLoader(connection)
    with connection.schema_editor(atomic=True) as editor:
        for config in apps.get_app_configs():
            for model in router.get_migratable_models(config, database, include_auto_created=False):
                if model._meta.managed and not model._meta.proxy:
                    editor.create_model(model)
        recorder = MigrationRecorder(connection)
        recorder.ensure_schema()
        for app, name in loader.disk_migrations:
            recorder.record_applied(app, name)
    emit_post_migrate_signal(verbosity=0, interactive=False, db=database)
