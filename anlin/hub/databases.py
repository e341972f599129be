"""Which records live in which database: the event log has a file of its own.

An import into the records would otherwise make an append to the log wait (DESIGN, section 11).
"""

from __future__ import annotations

from typing import Any

EVENTS = "events"
DEFAULT = "default"


class EventsApart:
    """Route the app `events` to its own database and everything else to the default one."""

    def db_for_read(self, model: type[Any], **hints: Any) -> str:
        return _home(model._meta.app_label)

    def db_for_write(self, model: type[Any], **hints: Any) -> str:
        return _home(model._meta.app_label)

    def allow_relation(self, one: Any, other: Any, **hints: Any) -> bool:
        return _home(one._meta.app_label) == _home(other._meta.app_label)

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool:
        return db == _home(app_label)


def _home(app_label: str) -> str:
    return EVENTS if app_label == "events" else DEFAULT
