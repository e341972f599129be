from __future__ import annotations

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "anlin.hub.accounts"

    def ready(self) -> None:
        from anlin.hub.accounts import sessions
        from anlin.hub.accounts.services import listen

        sessions.listen()
        listen()
