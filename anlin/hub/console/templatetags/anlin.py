"""Tags and filters of Anlin's templates."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django import template
from django.templatetags.static import static
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from anlin.hub import reasons
from anlin.hub.console import words
from anlin.hub.people.models import StaffProfile

register = template.Library()


@register.simple_tag
def icon(name: str, extra: str = "") -> SafeString:
    """Draw one of our own icons; it says nothing to a screen reader, the word beside it does."""
    return format_html(
        '<svg class="icon {}" aria-hidden="true"><use href="{}#{}"></use></svg>',
        extra,
        static("anlin/icons.svg"),
        name,
    )


@register.inclusion_tag("console/_places.html", takes_context=True)
def places(context: template.Context, where: str) -> dict[str, Any]:
    """List the pages that the signed-in role may open, for the rail or the phone's bar."""
    staff: StaffProfile | None = context.get("staff")
    path = context["request"].path
    entries = []
    for place in words.PLACES:
        if staff is None or staff.role not in place.roles:
            continue
        url = reverse(place.url)
        here = path == url if url == "/" else path.startswith(url)
        entries.append({"url": url, "word": place.word, "icon": place.icon, "here": here})
    if where == "bar":
        entries = entries[:4]
    return {"entries": entries, "where": where, "more": reverse("console:more"), "path": path}


@register.filter
def method_word(method: str) -> Any:
    return words.word(words.METHOD, method)


@register.filter
def device_text(said: str) -> Any:
    return reasons.device_text(said)


@register.filter
def method_icon(method: str) -> str:
    return method if method in words.METHOD else "unknown"


@register.filter
def direction_word(direction: str) -> Any:
    return words.word(words.DIRECTION, direction)


@register.filter
def kind_word(kind: str) -> Any:
    return words.word(words.HOLDER_KIND, kind)


@register.filter
def portal_word(kind: str) -> Any:
    return words.word(words.PORTAL_KIND, kind)


@register.filter
def portal_icon(kind: str) -> str:
    return kind if kind in words.PORTAL_KIND else "door"


@register.filter
def status_word(status: str) -> Any:
    return words.word(words.CREDENTIAL_STATUS, status)


@register.filter
def command_word(kind: str) -> Any:
    return words.word(words.COMMAND, kind)


@register.filter
def contact_word(level: str) -> Any:
    return words.word(words.CONTACT, level)


@register.filter
def state(value: str) -> words.StateWord:
    return words.state_word(value)


@register.filter
def moment(at: datetime | None) -> str:
    """Give a time as a guard would say it: only the clock today, with the date otherwise."""
    if at is None:
        return ""
    local, today = timezone.localtime(at), timezone.localtime()
    if local.date() == today.date():
        return local.strftime("%H:%M:%S")
    if local.year == today.year:
        return local.strftime("%m-%d %H:%M")
    return local.strftime("%Y-%m-%d %H:%M")


@register.filter
def full_time(at: datetime | None) -> str:
    return "" if at is None else timezone.localtime(at).strftime("%Y-%m-%d %H:%M:%S")


@register.filter
def since(at: datetime | None) -> str:
    """Say how long ago in the largest unit that fits."""
    if at is None:
        return ""
    seconds = max(0, int((timezone.now() - at).total_seconds()))
    if seconds < 60:
        return ngettext("%(n)d second", "%(n)d seconds", seconds) % {"n": seconds}
    minutes = seconds // 60
    if minutes < 60:
        return ngettext("%(n)d minute", "%(n)d minutes", minutes) % {"n": minutes}
    hours = minutes // 60
    if hours < 48:
        return ngettext("%(n)d hour", "%(n)d hours", hours) % {"n": hours}
    days = hours // 24
    return ngettext("%(n)d day", "%(n)d days", days) % {"n": days}


@register.filter
def masked_key(credential: Any) -> str:
    """Give what may stand on a screen of a credential's key: plates whole, cards by their end."""
    if credential.method == "plate":
        text = str(credential.key)
        return f"{text[:2]}·{text[2:]}" if len(text) >= 7 else text
    if credential.method in ("face", "terminal_face", "pin"):
        return ""
    return _("ends in %(end)s") % {"end": str(credential.key)[-4:]}


@register.filter
def initial(name: str) -> str:
    return name[:1].upper()
