"""The index that the search reads, kept by following the change log.

Every write by a person leaves a line there, by whatever service, so no service has to know of the
search. Before a search the lines since the last one are read and the people they are about are
indexed anew. It is a table of our own, because the databases' own text search knows words of three
letters and more, and Chinese names have two.
"""

from __future__ import annotations

import re
import time
import unicodedata
from collections.abc import Iterator, Sequence
from typing import TypeVar

from django.db import transaction
from django.db.models import Max, QuerySet

from anlin.core.entities import Method, Status
from anlin.hub.access.models import Credential
from anlin.hub.audit.models import Change
from anlin.hub.office.models import IndexState, SearchTerm, TermKind
from anlin.hub.office.rows import home_code
from anlin.hub.people.models import Holder, Residency

TERM_CHARS = 40
_CHUNK = 500
_GAP_S = 600.0
"""A transaction that is open for longer than this has been given up."""
_MAX_GAPS = 2_000
_COMPLETE = "~"
_FEWEST_PLATE_CHARS = 3
_CARD_TAILS = (4, 6)

_Term = tuple[TermKind, str, int]
_Item = TypeVar("_Item")


def catch_up() -> int:
    """Bring the index up to the change log; give how many people were indexed anew."""
    state = IndexState.objects.get_or_create(pk=1)[0]
    if state.built_to != _COMPLETE:
        return _build(state)
    newest = Change.objects.aggregate(newest=Max("pk"))["newest"] or 0
    if newest <= state.position and not state.gaps:
        return 0
    with transaction.atomic():
        state = IndexState.objects.select_for_update().get(pk=1)
        numbers, gaps = _unread(state)
        touched = _touched(numbers)
        for some in _chunks(sorted(touched)):
            index(some)
        state.position = max([state.position, *numbers])
        state.gaps = gaps
        state.save()
    return len(touched)


def rebuild() -> int:
    """Make the whole index anew; give how many people are in it."""
    IndexState.objects.update_or_create(pk=1, defaults={"built_to": "", "gaps": {}, "position": 0})
    return catch_up()


def index(holder_ids: Sequence[str]) -> None:
    """Index people anew, by ids that are no more than a database takes in one query."""
    SearchTerm.objects.filter(holder__in=holder_ids).delete()
    SearchTerm.objects.bulk_create(
        (
            SearchTerm(
                community_id=community, kind=kind, term=term[:TERM_CHARS], rank=rank, holder_id=pk
            )
            for community, pk, (kind, term, rank) in _terms(holder_ids)
        ),
        batch_size=2 * _CHUNK,
    )


def folded(text: str) -> str:
    """Give text as the index holds it: full-width letters plain, no blanks, no case."""
    return re.sub(r"[\s·.•‧・]", "", unicodedata.normalize("NFKC", text)).casefold()


def rooms(text: str) -> set[str]:
    """Give the ways in which a home may be meant: 1-101, 1号楼101 and 1栋1单元101室 are one."""
    text = re.sub(r"[室房户]$", "", unicodedata.normalize("NFKC", text).upper().strip())
    text = re.sub(r"(号楼|楼栋|单元|栋|幢|座|楼|期|号|[‐‑–—−/#_])", "-", text)
    plain = "-".join(part for part in re.split(r"[-\s]+", text) if part)
    return {plain} if plain else set()


def name_terms(name: str) -> dict[str, int]:
    """Give the pieces of a name: each character and each two that stand together, with rank."""
    text = folded(name)
    pieces: dict[str, int] = {}
    for at in range(len(text)):
        rank = 0 if at == 0 else 1
        for piece in (text[at], text[at : at + 2]):
            pieces[piece] = min(rank, pieces.get(piece, rank))
    return pieces


def _terms(holder_ids: Sequence[str]) -> Iterator[tuple[str, str, _Term]]:
    community: dict[str, str] = {}
    for pk, of, name in Holder.objects.filter(pk__in=holder_ids).values_list(
        "pk", "community_id", "name"
    ):
        community[pk] = of
        for piece, rank in name_terms(name).items():
            yield of, pk, (TermKind.NAME, piece, rank)
    homes = Residency.objects.filter(holder__in=community).values_list(
        "holder_id", "unit__code", "unit__entrance", "unit__building__name"
    )
    seen: set[tuple[str, str]] = set()
    for pk, code, entrance, building in homes:
        for term, rank in _home_terms(code, entrance, building).items():
            if (pk, term) not in seen:
                seen.add((pk, term))
                yield community[pk], pk, (TermKind.ROOM, term, rank)
    held = Credential.objects.filter(
        holder__in=community,
        method__in=(Method.PLATE.value, Method.CARD.value, Method.SECURE_CARD.value),
    ).exclude(status=Status.REVOKED.value)
    for pk, method, key in held.values_list("holder_id", "method", "key"):
        is_plate = method == Method.PLATE.value
        kind = TermKind.PLATE if is_plate else TermKind.CARD
        for term in _tails(folded(key), is_plate=is_plate):
            if (pk, term) not in seen:
                seen.add((pk, term))
                yield community[pk], pk, (kind, term, 0)


def _home_terms(code: str, entrance: str, building: str) -> dict[str, int]:
    """Give what a home is called: whole in each way, and its last part alone."""
    whole = rooms(code)
    bare = code.rpartition("-")[2]
    for inside in {entrance, ""}:
        whole |= rooms(home_code(building, inside, bare))
    if "-" not in code:
        whole |= rooms(f"{building}-{code}")
    return {term.rpartition("-")[2]: 1 for term in whole} | dict.fromkeys(whole, 0)


def _tails(key: str, *, is_plate: bool) -> set[str]:
    """Give by which ends a plate or a card is found: nobody remembers all of one."""
    if is_plate:
        return {key[at:] for at in range(max(1, len(key) - _FEWEST_PLATE_CHARS + 1))}
    return {key, *(key[-count:] for count in _CARD_TAILS)}


def _build(state: IndexState) -> int:
    """Index everybody, some at a time, so that others get to write in between."""
    if not state.built_to:
        # Whatever is written while this goes on is read again afterwards.
        state.position = Change.objects.aggregate(newest=Max("pk"))["newest"] or 0
    count = 0
    after = state.built_to
    while True:
        some = list(
            Holder.objects.filter(pk__gt=after).order_by("pk").values_list("pk", flat=True)[:_CHUNK]
        )
        with transaction.atomic():
            index(some)
            after = some[-1] if some else _COMPLETE
            state.built_to = after
            state.save()
        count += len(some)
        if not some:
            return count + catch_up()


def _unread(state: IndexState) -> tuple[list[int], dict[str, float]]:
    """Give the numbers of the lines to read, and those that are not visible yet.

    Under PostgreSQL a line may become visible after one with a higher number; SQLite writes one
    transaction after the other.
    """
    now = time.time()
    numbers = list(
        Change.objects.filter(pk__gt=state.position).order_by("pk").values_list("pk", flat=True)
    )
    late = [int(number) for number in state.gaps]
    seen = list(Change.objects.filter(pk__in=late).values_list("pk", flat=True)) if late else []
    gaps = {
        number: since
        for number, since in state.gaps.items()
        if int(number) not in set(seen) and now - since < _GAP_S
    }
    known = set(numbers)
    if numbers and numbers[-1] - state.position - len(numbers) <= _MAX_GAPS:
        for number in range(state.position + 1, numbers[-1]):
            if number not in known:
                gaps[str(number)] = now
    return numbers + seen, gaps


_ABOUT = (
    "people.holder",
    "people.residency",
    "access.credential",
    "people.unit",
    "people.building",
)


def _touched(numbers: Sequence[int]) -> set[str]:
    """Give the holders whom these lines of the change log are about."""
    holders: set[str] = set()
    objects: dict[str, set[str]] = {label: set() for label in _ABOUT}
    for some in _chunks(numbers):
        lines = Change.objects.filter(pk__in=some, model__in=_ABOUT)
        for model, pk, before, after in lines.values_list("model", "object_id", "before", "after"):
            objects[model].add(pk)
            for state in (before, after):
                if state and state.get("holder_id"):
                    holders.add(state["holder_id"])
    holders |= objects["people.holder"]
    for ids in _chunks(sorted(objects["people.residency"])):
        holders |= _holders_of(Residency.objects.filter(pk__in=ids))
    for ids in _chunks(sorted(objects["access.credential"])):
        found = Credential.objects.filter(pk__in=ids)
        holders |= set(found.values_list("holder_id", flat=True))
    for ids in _chunks(sorted(objects["people.unit"])):
        holders |= _holders_of(Residency.objects.filter(unit__in=ids))
    for ids in _chunks(sorted(objects["people.building"])):
        holders |= _holders_of(Residency.objects.filter(unit__building__in=ids))
    return holders


def _holders_of(residencies: QuerySet[Residency]) -> set[str]:
    return set(residencies.values_list("holder_id", flat=True))


def _chunks(items: Sequence[_Item]) -> Iterator[Sequence[_Item]]:
    for at in range(0, len(items), _CHUNK):
        yield items[at : at + _CHUNK]
