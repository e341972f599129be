"""Events as rows to show: the one form that console, live stream and API share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import F
from django.utils.translation import gettext as _

from anlin.core.entities import Method
from anlin.core.event import EventKind
from anlin.core.explanation import CHECKS
from anlin.hub.access.models import AccessPoint, Portal
from anlin.hub.devices.models import Device, Node
from anlin.hub.events.models import Event
from anlin.hub.people.models import Holder, Residency
from anlin.hub.reasons import kind_text, reason_text, refusal_text

PASSAGES = frozenset({EventKind.ACCESS_GRANTED.value, EventKind.ACCESS_DENIED.value})
_TEXT_CHARS = 200
_EVERYWHERE = "*"
"""Subject of an order for all portals (core/sync.py)."""


def row(event: Event) -> dict[str, Any]:
    """Give one event as a row; for several `rows` asks the database only once."""
    return rows([event])[0]


def rows(events: Sequence[Event]) -> list[dict[str, Any]]:
    """Give events as rows, in their order, with names as they are now, in the language in use.

    Every row has: position, at, kind, node, node_name, seq, revision, subject, place, reason,
    reason_text, title, state. A passage also has: point, point_name, portal, portal_name,
    holder, holder_name, unit, label, method, latency_ms, value, score, picture (address or
    ""), is_offline, passed, checks (of how many). Values that are not known are None or "".
    """
    names = _Names.of(events)
    return [_row(event, names) for event in events]


def _row(event: Event, names: _Names) -> dict[str, Any]:
    data = event.data if isinstance(event.data, dict) else {}
    is_passage = event.kind in PASSAGES
    point = _text(data, "point") or (event.subject if event.subject in names.points else "")
    portal = _text(data, "portal") or names.portal_of.get(point, "")
    if not portal and event.subject in names.portals:
        portal = event.subject
    holder = _text(data, "holder")
    reason = _text(data, "reason")
    text = str(reason_text(reason) if is_passage and reason else kind_text(event.kind))
    if event.kind == EventKind.MESSAGE_REFUSED:
        text = str(refusal_text(_text(data, "code"), _text(data, "rule")) or text)
    shown: dict[str, Any] = {
        "position": event.pk,
        "at": event.at,
        "kind": event.kind,
        "node": event.node,
        "node_name": names.nodes.get(event.node, event.node),
        "seq": event.seq,
        "revision": event.revision,
        "subject": event.subject,
        "place": names.place(point, portal, event.subject),
        "reason": reason or event.kind,
        "reason_text": text,
        "state": _text(data, "state"),
        "point": point,
        "point_name": names.points.get(point, point),
        "portal": portal,
        "portal_name": names.portals.get(portal, portal),
        "holder": holder if holder in names.holders else "",
        "holder_name": names.holders.get(holder, ""),
        "unit": names.units.get(holder, ""),
        "label": _text(data, "label"),
        "method": _text(data, "method"),
        "latency_ms": _number(data, "latency_ms"),
        "value": _text(data, "value"),
        "score": _number(data, "score"),
        "picture": _picture(data),
        "is_offline": data.get("offline") is True,
        "passed": _number(data, "passed"),
        "checks": len(CHECKS),
    }
    shown["title"] = _title(shown) if is_passage else text
    return shown


def _title(row: dict[str, Any]) -> str:
    """Say who it was, as well as it is known; an exit button is nobody's, and no stranger's."""
    nobody = _("Exit button") if row["method"] == Method.EXIT_BUTTON else _("Unknown")
    return str(row["holder_name"] or row["label"] or row["value"] or nobody)


@dataclass(frozen=True, slots=True)
class _Names:
    """The names behind the ids of some events, each kind fetched once."""

    nodes: dict[str, str]
    points: dict[str, str]
    portal_of: dict[str, str]
    portals: dict[str, str]
    devices: dict[str, str]
    holders: dict[str, str]
    units: dict[str, str]

    @classmethod
    def of(cls, events: Sequence[Event]) -> _Names:
        """Fetch the names that these events need.

        An event names only what belongs to its own community: a node can't make the hub show
        the name of somebody who lives elsewhere.
        """
        communities = {event.community for event in events}
        subjects = {event.subject for event in events}
        found = [event.data for event in events if isinstance(event.data, dict)]
        holders = Holder.objects.filter(
            pk__in=_all(found, "holder"), community__in=communities
        ).values_list("pk", "name")
        points = AccessPoint.objects.filter(
            pk__in=_all(found, "point") | subjects, portal__community__in=communities
        ).values_list("pk", "name", "portal_id")
        portal_ids = _all(found, "portal") | subjects | {portal for _, _, portal in points}
        portals = Portal.objects.filter(pk__in=portal_ids, community__in=communities)
        devices = Device.objects.filter(pk__in=subjects, node__community__in=communities)
        homes = Residency.objects.filter(
            holder__in=_all(found, "holder"), holder__community__in=communities
        ).order_by(F("ends_at").asc(nulls_last=True))
        return cls(
            nodes=dict(
                Node.objects.filter(pk__in={event.node for event in events}).values_list(
                    "pk", "name"
                )
            ),
            points={pk: name for pk, name, _ in points},
            portal_of={pk: portal for pk, _, portal in points},
            portals=dict(portals.values_list("pk", "name")),
            devices=dict(devices.values_list("pk", "name")),
            holders=dict(holders),
            units=dict(homes.values_list("holder_id", "unit__code")),
        )

    def place(self, point: str, portal: str, subject: str) -> str:
        """Name where it happened."""
        return (
            self.points.get(point)
            or self.portals.get(portal)
            or self.devices.get(subject)
            or self.nodes.get(subject)
            or (_("All gates") if subject == _EVERYWHERE else subject)
        )


def _all(found: Iterable[dict[str, Any]], name: str) -> set[str]:
    return {text for data in found if (text := _text(data, name))}


def _text(data: dict[str, Any], name: str) -> str:
    value = data.get(name)
    return value[:_TEXT_CHARS] if isinstance(value, str) else ""


def _number(data: dict[str, Any], name: str) -> float | None:
    value = data.get(name)
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _picture(data: dict[str, Any]) -> str:
    name = _text(data, "picture").removesuffix(".jpg")
    is_hash = len(name) == 64 and all(letter in "0123456789abcdef" for letter in name)
    return f"/media/{name}.jpg" if is_hash else ""
