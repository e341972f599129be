"""Headers that every page carries, and what every template may use."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase
from django.utils.decorators import sync_and_async_middleware

_GetResponse = Callable[[HttpRequest], Any]


@sync_and_async_middleware
def content_security_policy(get_response: _GetResponse) -> _GetResponse:
    """Let a page load from this origin only, and listen to the live process."""
    from asgiref.sync import iscoroutinefunction

    header = "; ".join(
        (
            "default-src 'self'",
            f"connect-src 'self' {settings.LIVE_URL}",
            "img-src 'self' data: blob:",
            "media-src 'self' blob:",
            "object-src 'none'",
            "base-uri 'none'",
            "form-action 'self'",
            "frame-ancestors 'none'",
        )
    )

    def signed(response: HttpResponseBase) -> HttpResponseBase:
        response.headers.setdefault("Content-Security-Policy", header)
        response.headers.setdefault("Permissions-Policy", "camera=(self), microphone=()")
        return response

    if iscoroutinefunction(get_response):

        async def awaited(request: HttpRequest) -> HttpResponseBase:
            return signed(await get_response(request))

        return awaited

    def called(request: HttpRequest) -> HttpResponseBase:
        return signed(get_response(request))

    return called


def page_context(request: HttpRequest) -> dict[str, Any]:
    """Give templates the staff member who is signed in, and where live rows come from."""
    return {"staff": getattr(request, "staff", None), "live_url": settings.LIVE_URL}
