"""That rows of the logs are only ever added: kept by the database, whoever writes to it.

The triggers are made after every migration, because SQLite drops them with a table that a
migration makes anew.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from anlin.hub.audit.models import Change, Rewriting, View
from anlin.hub.databases import DEFAULT

RULE = "audit: rows are only ever added"

_LOGS = (Change._meta.db_table, View._meta.db_table)
_BOOK = Rewriting._meta.db_table
_CLOSED = f"NOT EXISTS (SELECT 1 FROM {_BOOK} WHERE is_open)"  # noqa: S608  names of our own tables


@contextmanager
def rewriting(who: str, why: str) -> Iterator[None]:
    """Let lines be blanked or taken out here, as erasure and retention must; it is written down."""
    with transaction.atomic(using=DEFAULT):
        line = Rewriting.objects.create(who=who[:150], why=why[:100])
        yield
        Rewriting.objects.filter(pk=line.pk).update(is_open=False)


def raise_guard(using: str = DEFAULT) -> None:
    """Have the database refuse every change of a line; doing it twice is doing it once."""
    connection = connections[using]
    with connection.cursor() as cursor:
        for statement in _raising(connection):
            cursor.execute(statement)


def lower_guard(using: str = DEFAULT) -> None:
    """Take the triggers away, for emptying a whole database (`flush`)."""
    connection = connections[using]
    suffix = "" if connection.vendor == "sqlite" else " ON {table}"
    with connection.cursor() as cursor:
        for table, name, _event, _when in _triggers():
            cursor.execute(f"DROP TRIGGER IF EXISTS {name}{suffix.format(table=table)}")


def after_migrate(using: str, **_more: Any) -> None:
    """Raise the guard on the database that holds the logs."""
    if (
        using == DEFAULT
        and Rewriting._meta.db_table in connections[using].introspection.table_names()
    ):
        raise_guard(using)


def _triggers() -> Iterator[tuple[str, str, str, str]]:
    """Give (table, name, event, condition) of each trigger."""
    for table in _LOGS:
        for event in ("UPDATE", "DELETE"):
            yield table, f"{table}_no_{event.lower()}", event, _CLOSED
    yield _BOOK, f"{_BOOK}_no_delete", "DELETE", "1 = 1"
    # A book-keeping line closes, and never opens again.
    yield _BOOK, f"{_BOOK}_no_update", "UPDATE", "NOT OLD.is_open"


def _raising(connection: BaseDatabaseWrapper) -> Iterator[str]:
    if connection.vendor == "sqlite":
        for table, name, event, when in _triggers():
            yield (
                f"CREATE TRIGGER IF NOT EXISTS {name} BEFORE {event} ON {table} WHEN {when} "
                f"BEGIN SELECT RAISE(ABORT, '{RULE}'); END"
            )
        return
    for table, name, event, when in _triggers():
        kept = "NEW" if event == "UPDATE" else "OLD"
        yield (
            f"CREATE OR REPLACE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ "
            f"BEGIN IF {when} THEN RAISE EXCEPTION '{RULE}'; END IF; RETURN {kept}; END $$"
        )
        yield f"DROP TRIGGER IF EXISTS {name} ON {table}"
        yield (
            f"CREATE TRIGGER {name} BEFORE {event} ON {table} "
            f"FOR EACH ROW EXECUTE FUNCTION {name}()"
        )
