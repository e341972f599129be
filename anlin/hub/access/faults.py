"""What the core says against a setting, in the words of the person who set it.

The rules are the core's (`portal_fault`, `point_fault`) and stay there; here each sentence gets
its translation and the field it is about.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from anlin.core import entities as core
from anlin.core.access import point_fault
from anlin.hub.errors import RuleError

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

NAME_CHARS = 60

PORTAL_FIELDS: Mapping[str, _StrPromise] = {
    "grant_s": gettext_lazy("Stays unlocked for, in seconds"),
    "entry_s": gettext_lazy("After it relocks an opening still counts for, in seconds"),
    "held_open_s": gettext_lazy("May stand open for, in seconds"),
    "prealarm_s": gettext_lazy("Warns so long before that, in seconds"),
    "debounce_s": gettext_lazy("Contact must be steady for, in seconds"),
    "extended_grant_s": gettext_lazy("Stays unlocked for who needs time, in seconds"),
    "extended_held_open_s": gettext_lazy("May stand open for who needs time, in seconds"),
    "relock_on_open_s": gettext_lazy("Locks so long after it was opened, in seconds"),
    "exit_ignore_s": gettext_lazy("Exit button not heard after closing for, in seconds"),
}
"""A portal's timers as forms and faults name them."""

_TIMER = re.compile(r"portal \S+: (\w+) (\S+) is not within (\S+) to (\S+) s")


def refuse_portal(portal: core.Portal) -> None:
    """Refuse settings that are dangerous or make no sense.

    Raises:
        RuleError: what `core.entities.portal_fault` says, translated, at its field.
    """
    fault = core.portal_fault(portal)
    if fault is None:
        return
    timer = _TIMER.fullmatch(fault)
    if timer is not None:
        name, value, low, high = timer.groups()
        raise RuleError(
            _("%(what)s: %(value)s is not within %(low)s to %(high)s.")
            % {"what": PORTAL_FIELDS[name], "value": value, "low": low, "high": high},
            name,
        )
    if "escape route" in fault:
        raise RuleError(
            _(
                "It is on an escape route and stays locked without power. A way out must open "
                "without power, card or tool: choose a lock that opens without power, or fit a "
                "handle that opens it from inside and say so."
            ),
            "on_power_loss",
        )
    if "exit button" in fault:
        raise RuleError(
            _(
                "The exit button would only be noted and not unlock, but nothing else opens the "
                "door from inside. Let the button unlock, or fit a mechanical handle and say so."
            ),
            "exit_button",
        )
    if "warning" in fault:
        raise RuleError(
            _("It would warn for %(warning)s s, longer than the %(open)s s it may stand open.")
            % {"warning": portal.prealarm_s, "open": portal.held_open_s},
            "prealarm_s",
        )
    raise RuleError(fault)


def refuse_point(point: core.AccessPoint) -> None:
    """Refuse what would be unlawful or unfair to ask of people.

    Raises:
        RuleError: what `core.access.point_fault` says, translated, at its field.
    """
    fault = point_fault(point)
    if fault is None:
        return
    if "at least two" in fault:
        rule = _("a way in accepts at least two means, so that nobody is forced to use one")
    elif "neither face nor phone" in fault:
        rule = _("needs one means that is neither face nor phone, such as a card or a PIN")
    else:
        rule = fault
    raise RuleError(
        _("Access point %(name)s: %(fault)s.") % {"name": point.name, "fault": rule}, "methods"
    )


def named(name: str) -> str:
    """Give a name as it is kept.

    Raises:
        RuleError: empty, too long, or with something in it that can't be printed.
    """
    clean = " ".join(name.split())
    if not 0 < len(clean) <= NAME_CHARS or not clean.isprintable():
        raise RuleError(_("A name has 1 to %(most)d characters.") % {"most": NAME_CHARS}, "name")
    return clean


def within(value: float, low: float, high: float, field: str) -> float:
    """Give a number that is within its bounds.

    Raises:
        RuleError: it is not.
    """
    if not math.isfinite(value) or not low <= value <= high:
        raise RuleError(
            _("%(value)s is not within %(low)s to %(high)s.")
            % {"value": f"{value:g}", "low": f"{low:g}", "high": f"{high:g}"},
            field,
        )
    return value


def refuse_zone(zone: str) -> None:
    """Refuse a time zone that nobody knows; an edge would find out at the first decision.

    Raises:
        RuleError: not an IANA name.
    """
    try:
        ZoneInfo(zone)
    except (KeyError, ValueError, OSError) as error:
        raise RuleError(
            _("There is no time zone %(zone)s; write it as Asia/Shanghai.")
            % {"zone": zone[:40] or "''"},
            "zone",
        ) from error


def refuse_window(
    start: datetime | None, end: datetime | None, longest: timedelta | None = None
) -> None:
    """Refuse a window that ends before it begins, or lasts too long.

    Raises:
        RuleError: it does.
    """
    if start is None or end is None:
        return
    if end <= start:
        raise RuleError(_("It would end before it begins."), "valid_until")
    if longest is not None and end - start > longest:
        raise RuleError(
            _("It may last %(days)d days at most.") % {"days": longest.days}, "valid_until"
        )
