from __future__ import annotations

from django.utils import translation

from anlin.core.access import Reason
from anlin.core.event import EventKind
from anlin.hub.reasons import KINDS, REASONS, kind_text, reason_text


def test_every_reason_and_every_kind_of_event_has_its_sentence() -> None:
    assert set(REASONS) == set(Reason)
    assert set(KINDS) == set(EventKind)


def test_no_two_reasons_are_told_alike() -> None:
    with translation.override("en"):
        told = [str(text) for text in REASONS.values()]
    assert len(set(told)) == len(told)


def test_what_an_older_hub_does_not_know_stands_as_it_came() -> None:
    assert reason_text("of_the_future") == "of_the_future"
    assert kind_text("") == ""
