"""What makes the pages installable: the manifest, our own worker, and the page without network."""

from __future__ import annotations

from pathlib import Path

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.templatetags.static import static
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.gzip import gzip_page
from django.views.decorators.http import require_GET

from anlin.hub.permissions import public

_WORKER = Path(__file__).parent / "static" / "resident" / "sw.js"
_DAY_S = 24 * 3600


@public("a browser fetches it without a log-in; it holds names and colours only")
@require_GET
def manifest(request: HttpRequest) -> HttpResponse:
    name = _("Anlin: my home")
    answer = JsonResponse(
        {
            "name": name,
            "short_name": _("My home"),
            "lang": get_language(),
            "id": "/home/",
            "start_url": "/home/",
            "scope": "/home/",
            "display": "standalone",
            "background_color": "#f2f5f3",
            "theme_color": "#0f3039",
            "icons": [
                {
                    "src": static(f"resident/icon-{size}.png"),
                    "sizes": f"{size}x{size}",
                    "type": "image/png",
                    "purpose": "any maskable",
                }
                for size in (192, 512)
            ],
            "shortcuts": [
                {"name": _("My doors"), "url": "/home/"},
                {"name": _("My QR"), "url": "/home/qr"},
            ],
        },
        content_type="application/manifest+json",
        json_dumps_params={"ensure_ascii": False},
    )
    answer.headers["Cache-Control"] = f"public, max-age={_DAY_S}"
    answer.headers["Vary"] = "Accept-Language, Cookie"
    return answer


@public("a program for the browser, the same for everybody")
@require_GET
def worker(request: HttpRequest) -> HttpResponse:
    """Give the service worker from where it may serve all of /home/."""
    answer = HttpResponse(_WORKER.read_bytes(), content_type="text/javascript; charset=utf-8")
    answer.headers["Cache-Control"] = "no-cache"
    answer.headers["Service-Worker-Allowed"] = "/home/"
    return answer


@public("the worker keeps it for when there is no network; it names nobody")
@require_GET
@gzip_page
def offline(request: HttpRequest) -> HttpResponse:
    return render(request, "resident/offline.html")
