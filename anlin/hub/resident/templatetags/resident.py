"""Tags of the residents' pages."""

from __future__ import annotations

from typing import Any

from django import template
from django.templatetags.static import static
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from anlin.hub.resident.pages import is_large

register = template.Library()

PLACES = (
    ("/home/", _("My doors"), "door"),
    ("/home/qr", _("My QR"), "qr"),
    ("/home/visitors", _("Visitors"), "visits"),
    ("/home/family", _("Family"), "people"),
    ("/home/more", _("More"), "more"),
)
FEW = frozenset({"/home/", "/home/qr", "/home/more"})
"""What is left under the thumb in large print."""


@register.simple_tag
def pic(name: str) -> SafeString:
    """Draw an icon; the word beside it says it to a screen reader."""
    return format_html(
        '<svg class="icon" aria-hidden="true"><use href="{}#{}"></use></svg>',
        static("anlin/icons.svg"),
        name,
    )


@register.simple_tag(takes_context=True)
def large_print(context: template.Context) -> bool:
    request = context.get("request")
    return request is not None and is_large(request)


@register.inclusion_tag("resident/_places.html", takes_context=True)
def home_places(context: template.Context) -> dict[str, Any]:
    """List the pages under the thumb; fewer in large print."""
    request = context["request"]
    shown = FEW if is_large(request) else frozenset(url for url, _word, _icon in PLACES)
    return {
        "places": [
            {"url": url, "word": word, "icon": icon, "here": request.path == url}
            for url, word, icon in PLACES
            if url in shown
        ]
    }
