"""What residents do on their own account."""

from __future__ import annotations

from django.conf import settings

from anlin.hub.people.models import ResidentProfile


def set_view(
    profile: ResidentProfile, *, large_print: bool | None = None, language: str | None = None
) -> None:
    """Keep how a resident wants to read: on the account, so that every phone shows it so."""
    if large_print is not None:
        profile.large_print = large_print
    if language is not None and language in dict(settings.LANGUAGES):
        profile.language = language
    profile.save(update_fields=["large_print", "language"])
