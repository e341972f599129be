"""The logs, to be read: who changed what, from what to what; who looked at whom."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.dateparse import parse_date
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from anlin.hub.audit import watermark, words
from anlin.hub.audit.log import Actor, viewed
from anlin.hub.audit.models import Change, View
from anlin.hub.console.pages import QUERY_CHARS, page, paged, query_of
from anlin.hub.people.models import Holder, Role
from anlin.hub.permissions import StaffRequest

PAGE_SIZE = 40
MOST_EXPORTED = 20_000
"""Two years of a large community; whoever needs more takes it month by month."""
_IN_THE_LINE_ALREADY = frozenset({"community_id", "created_at", "given_at", "issued_at"})
_NOT_OF_THE_HOUSE = ("access.watchentry", "access.watchfeedback")
"""That somebody is sought is no business of the property company."""

_LOOK_NOT_OF_THE_HOUSE = "watch entry"
_NAMES_FOUND = 50

READERS = (Role.MANAGER, Role.COMMITTEE, Role.AUDITOR)
LOOKERS = (Role.MANAGER, Role.AUDITOR)


@dataclass(frozen=True, slots=True)
class Filter:
    """What a reader looks for; each part may be empty."""

    query: str
    who: str
    since: str
    until: str

    @classmethod
    def of(cls, request: HttpRequest) -> Filter:
        given = request.GET if request.method == "GET" else request.POST

        def text(name: str) -> str:
            return given.get(name, "").replace("\x00", "").strip()[:QUERY_CHARS]

        query = query_of(request) if request.method == "GET" else text("q")
        return cls(query, text("who"), text("since"), text("until"))

    def narrowed(self, rows: QuerySet[Any], zone: str) -> QuerySet[Any]:
        """Select by who and when; whole days of the community's own clock."""
        if self.who:
            rows = rows.filter(who__icontains=self.who)
        first, last = _day(self.since), _day(self.until)
        if first is not None:
            rows = rows.filter(at__gte=_midnight(first, zone))
        if last is not None:
            rows = rows.filter(at__lt=_midnight(last + timedelta(days=1), zone))
        return rows

    @property
    def address(self) -> str:
        parts = {"q": self.query, "who": self.who, "since": self.since, "until": self.until}
        return urlencode({name: value for name, value in parts.items() if value})


@require_GET
@page(*READERS)
def changes(request: StaffRequest) -> HttpResponse:
    wanted = Filter.of(request)
    shown = paged(request, _changes(request, wanted), PAGE_SIZE)
    may_see_values = _may_see_values(request)
    names = _names(request, [change.object_id for change in shown])
    rows = [
        {
            "change": change,
            "model": words.model_word(change.model),
            "action": words.action_word(change.action),
            "via": words.VIA.get(change.via, change.via),
            "name": names.get(change.object_id, ""),
            "differs": _differs(change) if may_see_values else [],
        }
        for change in shown
    ]
    context = {"page": shown, "rows": rows, "tab": "changes", **_head(wanted)}
    return render(request, "audit/changes.html", context)


@require_GET
@page(*LOOKERS)
def looks(request: StaffRequest) -> HttpResponse:
    wanted = Filter.of(request)
    shown = paged(request, _looks(request, wanted), PAGE_SIZE)
    names = _names(request, [view.object_id for view in shown])
    rows = [
        {
            "view": view,
            "what": words.view_word(view.what),
            "name": names.get(view.object_id, ""),
        }
        for view in shown
    ]
    context = {"page": shown, "rows": rows, "tab": "looks", **_head(wanted)}
    return render(request, "audit/looks.html", context)


@require_POST
@page(*LOOKERS)
def export(request: StaffRequest, log: str) -> HttpResponse:
    """Give what the filter selects as a table, with the line of who took it; that is logged too."""
    wanted = Filter.of(request)
    by = Actor.of(request)
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow([watermark.line(by, wanted.address)])
    is_looks = log == "looks"
    if is_looks:
        writer.writerow([_("When"), _("Who"), _("Looked at"), _("Number"), _("What for")])
        for view in _looks(request, wanted)[:MOST_EXPORTED]:
            what = words.view_word(view.what)
            writer.writerow(_safe([_clock(view.at), view.who, what, view.object_id, view.purpose]))
    else:
        writer.writerow(
            [_("When"), _("Who"), _("How"), _("What"), _("On"), _("Number"), _("From and to")]
        )
        for change in _changes(request, wanted)[:MOST_EXPORTED]:
            said = "; ".join(
                f"{one['name']}: {one['before']} → {one['after']}" for one in _differs(change)
            )
            writer.writerow(
                _safe(
                    [
                        _clock(change.at),
                        change.who,
                        str(words.VIA.get(change.via, change.via)),
                        words.action_word(change.action),
                        words.model_word(change.model),
                        change.object_id,
                        said,
                    ]
                )
            )
    what = "look log" if is_looks else "change log"
    viewed(by, request.staff.community, what, [wanted.address or "all"], "export")
    # The mark at the front has spreadsheet programs read the Chinese as what it is.
    answer = HttpResponse("\ufeff" + out.getvalue(), content_type="text/csv; charset=utf-8")
    stamp = timezone.localtime().strftime("%Y%m%d-%H%M")
    answer["Content-Disposition"] = f'attachment; filename="anlin-{log}-{stamp}.csv"'
    answer["Cache-Control"] = "no-store"
    return answer


def _changes(request: StaffRequest, wanted: Filter) -> QuerySet[Change]:
    found = Change.objects.filter(community=request.staff.community)
    if request.staff.role != Role.AUDITOR:
        found = found.exclude(model__in=_NOT_OF_THE_HOUSE)
    if wanted.query:
        found = found.filter(
            Q(object_id__in=_objects(request, wanted.query))
            | Q(who__icontains=wanted.query)
            | Q(action__icontains=wanted.query)
            | Q(action__in=_keys(words.ACTIONS, wanted.query))
            | Q(model__icontains=wanted.query)
            | Q(model__in=_keys(words.MODELS, wanted.query))
        )
    return wanted.narrowed(found, request.staff.community.zone).order_by("-id")


def _looks(request: StaffRequest, wanted: Filter) -> QuerySet[View]:
    found = View.objects.filter(community=request.staff.community)
    if request.staff.role != Role.AUDITOR:
        found = found.exclude(what=_LOOK_NOT_OF_THE_HOUSE)
    if wanted.query:
        found = found.filter(
            Q(object_id__in=_objects(request, wanted.query))
            | Q(who__icontains=wanted.query)
            | Q(what__in=_keys(words.VIEWS, wanted.query))
        )
    return wanted.narrowed(found, request.staff.community.zone).order_by("-id")


def _objects(request: StaffRequest, query: str) -> list[str]:
    """Give the numbers that a typed number or a person's name stands for."""
    if request.staff.role == Role.COMMITTEE:
        return [query]
    named = Holder.objects.filter(community=request.staff.community, name__icontains=query)
    return [query, *named.values_list("pk", flat=True)[:_NAMES_FOUND]]


def _keys(table: Any, query: str) -> list[str]:
    """Give the names whose word has this in it, in the reader's own language."""
    small = query.casefold()
    return [key for key, word in table.items() if small in str(word).casefold()]


def _names(request: StaffRequest, ids: list[str]) -> dict[str, str]:
    """Name the people of a page; the committee reads how the house is run, not who lives in it."""
    if not _may_see_values(request):
        return {}
    people = Holder.objects.filter(community=request.staff.community, pk__in=set(ids))
    return dict(people.values_list("pk", "name"))


def _may_see_values(request: StaffRequest) -> bool:
    return request.staff.role != Role.COMMITTEE


def _head(wanted: Filter) -> dict[str, object]:
    is_narrow = bool(wanted.who or wanted.since or wanted.until)
    return {"q": wanted.query, "wanted": wanted, "is_narrow": is_narrow}


def _differs(change: Change) -> list[dict[str, str]]:
    """List the fields of a change with what they were and what they became, in words."""
    before: dict[str, Any] = change.before or {}
    after: dict[str, Any] = change.after or {}
    found = []
    for name in sorted({*before, *after} - _IN_THE_LINE_ALREADY):
        was = words.value_word(change.model, name, before.get(name))
        now = words.value_word(change.model, name, after.get(name))
        if was != now:
            said = words.field_word(change.model, name)
            found.append({"name": said, "before": was, "after": now})
    return found


def _day(text: str) -> Any:
    try:
        return parse_date(text)
    except ValueError:
        return None


def _midnight(day: Any, zone: str) -> datetime:
    return datetime.combine(day, time.min, ZoneInfo(zone)).astimezone(UTC)


def _clock(at: datetime) -> str:
    return timezone.localtime(at).strftime("%Y-%m-%d %H:%M:%S")


def _safe(cells: list[str]) -> list[str]:
    """Keep a cell from being read as a formula by whoever opens the table."""
    return [f"'{cell}" if cell[:1] in ("=", "+", "-", "@", "\t", "\r") else cell for cell in cells]
