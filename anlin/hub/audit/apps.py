from __future__ import annotations

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class AuditConfig(AppConfig):
    name = "anlin.hub.audit"

    def ready(self) -> None:
        from anlin.hub.audit.guard import after_migrate

        post_migrate.connect(after_migrate, sender=self, dispatch_uid="anlin audit guard")
