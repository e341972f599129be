"""What is refused of any text that a caller sends, before an operation sees it."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, QueryDict
from ninja.errors import HttpError
from ninja.parser import Parser
from ninja.types import DictStrAny


def is_text(value: str) -> bool:
    """Say whether a database can keep it: no null character, no half of a surrogate pair."""
    return "\x00" not in value and not any("\ud800" <= char <= "\udfff" for char in value)


class TextParser(Parser):
    """Reads bodies and queries, and refuses what is no text: JSON can say it, no table holds it."""

    def parse_body(self, request: HttpRequest) -> DictStrAny:
        """Read a JSON body.

        Raises:
            HttpError: a text in it can't be kept.
        """
        body = super().parse_body(request)
        _refuse(body, "body")
        return body

    def parse_querydict(
        self, data: Any, list_fields: list[str], request: HttpRequest
    ) -> DictStrAny:
        """Read a query or a form.

        Raises:
            HttpError: a text in it can't be kept.
        """
        if isinstance(data, QueryDict):
            for name in data:
                _refuse([name, *data.getlist(name)], "query")
        return super().parse_querydict(data, list_fields, request)


def _refuse(value: object, where: str) -> None:
    match value:
        case str() if not is_text(value):
            raise HttpError(422, f"{where}: holds a null or a broken character")
        case list():
            for one in value:
                _refuse(one, where)
        case dict():
            for name, one in value.items():
                _refuse(name, where)
                _refuse(one, where if where != "body" else str(name)[:40])
