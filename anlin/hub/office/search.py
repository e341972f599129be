"""One box: people by name, home, telephone, plate or card, by an index and within the scope."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _

from anlin.core.entities import Method, Status
from anlin.hub.access.models import Credential
from anlin.hub.office.index import folded, name_terms, rooms
from anlin.hub.office.models import SearchTerm, TermKind
from anlin.hub.office.plan import masked_phone
from anlin.hub.people.models import Holder, HolderStatus, Residency, StaffProfile
from anlin.hub.people.services import phone_index
from anlin.hub.permissions import buildings_of, holders_in_scope

MOST = 30
"""Whom a person looks through; who has more types one more letter."""

FEWEST_LIVE = 2
"""While somebody types, one letter is no search yet: it would show half the community."""

_LOOKED_AT = 300
"""Of one kind so many are looked at; where the scope leaves few of them, all are."""
_MAX_NAME_CHARS = 60
_WHOLE_PHONE = range(7, 21)
_TAIL = 4


@dataclass(frozen=True, slots=True)
class Hit:
    """One person, by what they were found, and what a desk needs to tell them apart."""

    holder: Holder
    by: str
    homes: tuple[tuple[str, bool], ...]
    """(home, whether the person lives there now)."""
    phone: str
    methods: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Found:
    hits: tuple[Hit, ...]
    has_more: bool


BY_PHONE = "phone"
BY_WORDS = {
    TermKind.NAME.value: _("by the name"),
    TermKind.ROOM.value: _("by the home"),
    TermKind.PLATE.value: _("by the plate"),
    TermKind.CARD.value: _("by the card"),
    BY_PHONE: _("by the telephone"),
}


def search(staff: StaffProfile, query: str, now: datetime) -> Found:
    """Find people whom a member of staff may look up; who lives here now comes first."""
    by: dict[str, str] = {}
    for kind, ids in _matches(staff, query):
        for holder in ids:
            by.setdefault(holder, kind)
    people = {
        holder.pk: holder
        for holder in holders_in_scope(staff)
        .filter(pk__in=list(by)[: 3 * _LOOKED_AT])
        .defer("note")
    }
    order = {pk: at for at, pk in enumerate(by)}
    ranked = sorted(
        people.values(), key=lambda one: (one.status == HolderStatus.LEFT, order[one.pk])
    )
    return Found(_hits(ranked[:MOST], by, now), len(ranked) > MOST)


def logged(query: str) -> str:
    """Give a query as the log keeps it: of a number only its end, so that nothing whole leaks."""
    text = unicodedata.normalize("NFKC", query)
    return re.sub(r"[0-9A-Za-z][0-9A-Za-z +()·.:-]*[0-9A-Za-z]", _ended, text)[:80]


def _ended(run: re.Match[str]) -> str:
    text = run[0]
    if sum(mark.isdigit() for mark in text) < 3 or len(re.sub(r"\W", "", text)) <= _TAIL:
        return text
    return text if _is_room(text) else f"…{text[-_TAIL:]}"


def _is_room(text: str) -> bool:
    """Say whether a number is a home's: short parts between hyphens."""
    return re.fullmatch(r"[0-9A-Za-z]{1,3}(-[0-9A-Za-z]{1,4}){1,2}", text.strip()) is not None


def _matches(staff: StaffProfile, query: str) -> Iterable[tuple[str, Sequence[str]]]:
    community = staff.community_id
    text = folded(query)[:_MAX_NAME_CHARS]
    if not text:
        return
    digits = re.sub(r"\D", "", unicodedata.normalize("NFKC", query))
    is_number = bool(digits) and re.fullmatch(r"[0-9+() -]+", query.strip()) is not None
    everyone = Holder.objects.filter(community=community)
    if is_number and len(digits) in _WHOLE_PHONE:
        known = everyone.filter(phone_index=phone_index(digits))
        yield BY_PHONE, list(known.values_list("pk", flat=True)[:_LOOKED_AT])
    yield TermKind.ROOM, _by_term(staff, TermKind.ROOM, rooms(query))
    if is_number and len(digits) == _TAIL:
        known = everyone.filter(phone_tail=digits).order_by("name")
        yield BY_PHONE, list(known.values_list("pk", flat=True)[:_LOOKED_AT])
    bare = text.replace("-", "").replace(":", "")
    if any(mark.isdigit() for mark in bare):
        yield TermKind.PLATE, _by_term(staff, TermKind.PLATE, {bare})
        yield TermKind.CARD, _by_term(staff, TermKind.CARD, {bare})
    yield TermKind.NAME, _by_name(staff, text)


def _by_term(staff: StaffProfile, kind: TermKind, terms: Iterable[str]) -> Sequence[str]:
    wanted = [term for term in terms if term]
    found = _scoped(
        staff, SearchTerm.objects.filter(community=staff.community_id, term__in=wanted, kind=kind)
    )
    return list(found.order_by("rank", "holder").values_list("holder", flat=True)[:_LOOKED_AT])


def _by_name(staff: StaffProfile, text: str) -> Sequence[str]:
    """Find a piece of a name: by its rarest two letters in the index, then letter by letter."""
    pairs = [text] if len(text) == 1 else [piece for piece in name_terms(text) if len(piece) == 2]
    found = SearchTerm.objects.filter(community=staff.community_id, kind=TermKind.NAME)
    # The first pair leads, the last narrows: between them names are few.
    found = found.filter(term=pairs[0])
    if len(pairs) > 1:
        last = SearchTerm.objects.filter(
            community=staff.community_id, kind=TermKind.NAME, term=pairs[-1]
        )
        found = found.filter(holder__in=last.values("holder"))
    found = _scoped(staff, found).order_by("rank", "holder")
    if len(text) <= 2:
        return list(found.values_list("holder", flat=True)[:_LOOKED_AT])
    names = found.values_list("holder", "holder__name")[: 20 * _LOOKED_AT]
    return [pk for pk, name in names if text in folded(name)][:_LOOKED_AT]


def _scoped(staff: StaffProfile, found: QuerySet[SearchTerm]) -> QuerySet[SearchTerm]:
    """Leave out, before any is counted, whom the member of staff may not look up."""
    if buildings_of(staff) is None:
        return found
    return found.filter(holder__in=holders_in_scope(staff).values("pk"))


def _hits(people: Sequence[Holder], by: dict[str, str], now: datetime) -> tuple[Hit, ...]:
    ids = [one.pk for one in people]
    homes: dict[str, list[tuple[str, bool]]] = {}
    lived = Residency.objects.filter(holder__in=ids).order_by("unit__code")
    for pk, code, starts, ends in lived.values_list(
        "holder_id", "unit__code", "starts_at", "ends_at"
    ):
        is_now = (starts is None or starts <= now) and (ends is None or ends > now)
        homes.setdefault(pk, []).append((code, is_now))
    held: dict[str, set[str]] = {}
    cards = Credential.objects.filter(holder__in=ids).exclude(status=Status.REVOKED.value)
    for pk, method in cards.values_list("holder_id", "method"):
        held.setdefault(pk, set()).add(method)
    return tuple(
        Hit(
            one,
            by[one.pk],
            tuple(homes.get(one.pk, ())),
            masked_phone(one.phone) if one.phone else "",
            tuple(method for method in Method if method.value in held.get(one.pk, ())),
        )
        for one in people
    )
