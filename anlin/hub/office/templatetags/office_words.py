"""Filters of the office's templates."""

from __future__ import annotations

from typing import Any

from django import template

from anlin.hub.console import words
from anlin.hub.office.search import BY_WORDS

register = template.Library()


@register.filter
def found_by(kind: str) -> Any:
    return words.word(BY_WORDS, kind)
