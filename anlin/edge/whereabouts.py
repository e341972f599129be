"""Who, and which car, is in which area, as far as this edge has seen them pass.

Kept through a restart, and forgiving: whoever it has lost is nowhere, and nowhere refuses
nobody (`core.access`).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from anlin.core.access import Place
from anlin.core.codec import from_data, to_data

PREFIX = "place/"
"""Before the subject, in the names of the replica's facts."""

GONE = ""
"""What a fact holds once its subject has left."""


@dataclass(frozen=True, slots=True)
class Stay:
    """One subject in one area, and until when it may stay there."""

    area: str
    since: datetime
    household: str | None = None
    until: datetime | None = None
    is_overstay_told: bool = False


class Whereabouts:
    """Where everybody is. `unsaved` collects what has to be written down."""

    def __init__(self, facts: Iterable[tuple[str, str]]) -> None:
        self._stays: dict[str, Stay] = {}
        self._inside: Counter[str] = Counter()
        self._cars: Counter[tuple[str, str]] = Counter()
        self.unsaved: dict[str, str] = {}
        for name, value in facts:
            if value:
                self._put(name.removeprefix(PREFIX), from_data(Stay, json.loads(value)))

    def place(self, subject: str | None) -> Place | None:
        """Give where a subject is, or None where that is not known."""
        stay = self._stays.get(subject) if subject is not None else None
        return Place(stay.area, stay.since) if stay is not None else None

    def inside(self, area: str | None) -> int:
        """Count the subjects in an area."""
        return self._inside[area] if area is not None else 0

    def cars_inside(self, area: str | None, household: str | None) -> int:
        """Count a household's cars in an area."""
        if area is None or household is None:
            return 0
        return self._cars[area, household]

    def move(self, subject: str, stay: Stay | None) -> None:
        """Note that a subject passed into an area, or (None) out of all that we know."""
        self._drop(subject)
        if stay is not None:
            self._put(subject, stay)
        self._note(subject)

    def forget(self, subject: str | None) -> int:
        """Forgive one subject, or all of them; say how many."""
        gone = list(self._stays) if subject is None else [subject] * (subject in self._stays)
        for name in gone:
            self._drop(name)
            self._note(name)
        return len(gone)

    def overstayed(self, at: datetime) -> Iterator[tuple[str, Stay]]:
        """Give each subject whose time is up, once."""
        for subject, stay in list(self._stays.items()):
            if stay.until is not None and at >= stay.until and not stay.is_overstay_told:
                told = Stay(stay.area, stay.since, stay.household, stay.until, True)
                self._stays[subject] = told
                self._note(subject)
                yield subject, stay

    def all(self) -> Mapping[str, Stay]:
        """Give every subject that is somewhere."""
        return self._stays

    def _put(self, subject: str, stay: Stay) -> None:
        self._stays[subject] = stay
        self._inside[stay.area] += 1
        if stay.household is not None:
            self._cars[stay.area, stay.household] += 1

    def _drop(self, subject: str) -> None:
        stay = self._stays.pop(subject, None)
        if stay is None:
            return
        self._inside[stay.area] -= 1
        if stay.household is not None:
            self._cars[stay.area, stay.household] -= 1

    def _note(self, subject: str) -> None:
        stay = self._stays.get(subject)
        self.unsaved[PREFIX + subject] = json.dumps(to_data(stay)) if stay is not None else GONE
