"""Everything that is held about a person, as a zip of JSON and one page that a person can read."""

from __future__ import annotations

import base64
import io
import json
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.translation import gettext as _

from anlin.core.entities import Method
from anlin.hub import vault
from anlin.hub.access.models import Credential, Photo
from anlin.hub.audit.log import Actor, viewed
from anlin.hub.audit.services import looks_at
from anlin.hub.events.pictures import path_of
from anlin.hub.events.rows import row as shown
from anlin.hub.people.models import Holder
from anlin.hub.privacy import traces
from anlin.hub.privacy.subjects import HIDDEN, End, Holding, holdings

MOST_EVENTS = 50_000
MOST_PICTURES = 2_000
"""Of 60 KB each: more would not be a file that a phone can take."""


@dataclass(frozen=True, slots=True)
class Section:
    """One kind of what is held: its word, and the rows as names and values."""

    name: str
    word: str
    rows: tuple[dict[str, Any], ...]


def held(holder: Holder) -> Iterator[Section]:
    """List what every app holds about a person; what the law forbids to tell is left out."""
    for one in holdings():
        if one.end is End.BY_LAW:
            continue
        rows = tuple(_row(one, obj) for obj in one.rows(holder))
        if rows:
            path = "" if one.path in ("holder", "pk") else f".{one.path.split('__')[0]}"
            yield Section(f"{one.model}{path}", str(one.word), rows)
    tokens = traces.tokens_of(holder)
    yield from (
        section
        for section in (
            Section("events", _("Passages"), tuple(_events(holder, tokens))),
            Section(
                "state.Presence",
                _("Last seen"),
                tuple(
                    {"portal": one.portal, "is_inside": one.is_inside, "since": one.since}
                    for one in traces.presences(holder, tokens)
                ),
            ),
            Section(
                "audit.Change",
                _("Changes to the entry"),
                tuple(
                    {
                        "at": one.at,
                        "who": one.who,
                        "action": one.action,
                        "model": one.model,
                        "before": one.before,
                        "after": one.after,
                    }
                    for one in traces.changes_of(holder, tokens).order_by("pk")
                ),
            ),
            Section(
                "audit.View",
                _("Who looked"),
                tuple(
                    {"at": one.at, "who": one.who, "what": one.what, "purpose": one.purpose}
                    for one in looks_at(holder).order_by("pk")
                ),
            ),
        )
        if section.rows
    )


def make_zip(holder: Holder, by: Actor) -> tuple[bytes, dict[str, int]]:
    """Make the copy that a person is given, and say how many records of each kind are in it.

    It is written down as a look at the person.
    """
    sections = list(held(holder))
    viewed(by, holder.community, "export", [holder.pk], _("copy for the person"))
    made_at = timezone.now()
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        data = {
            "made_at": made_at,
            "community": holder.community.name,
            "person": holder.pk,
            "held": {section.name: section.rows for section in sections},
        }
        file.writestr("data.json", _json(data))
        page = render_to_string(
            "privacy/export.html",
            {"holder": holder, "sections": sections, "made_at": made_at},
        )
        file.writestr("index.html", page)
        for name, content in _files(holder, sections):
            file.writestr(name, content)
    return out.getvalue(), {section.name: len(section.rows) for section in sections}


def _json(data: Any) -> str:
    return json.dumps(data, cls=_Encoder, ensure_ascii=False, indent=1)


class _Encoder(DjangoJSONEncoder):
    def default(self, o: Any) -> Any:
        if isinstance(o, bytes | memoryview):
            return base64.b64encode(bytes(o)).decode()
        return super().default(o)


def _row(one: Holding, obj: models.Model) -> dict[str, Any]:
    """Give a row as names and values, without keys and fingerprints, and only what is theirs."""
    found: dict[str, Any] = {}
    for field in obj._meta.concrete_fields:
        if field.name in HIDDEN or (one.only and field.name not in one.only):
            continue
        if isinstance(field, models.BinaryField):
            continue
        if isinstance(obj, Credential) and field.name == "key" and obj.method in _SECRET:
            continue
        value = getattr(obj, field.attname)
        if value is None or value == "":
            continue
        if field.is_relation and field.related_model is not Holder:
            value = str(getattr(obj, field.name))
        found[field.name] = value
    return found


_SECRET = (Method.PIN.value, Method.FACE.value, Method.PHONE.value)
"""Keys that are digests or drawn: nothing about the person."""


def _events(holder: Holder, tokens: traces.Tokens) -> Iterator[dict[str, Any]]:
    count = 0
    for found in traces.events_naming(holder, tokens):
        for event in found:
            if not traces.is_about(event, tokens) or count >= MOST_EVENTS:
                continue
            count += 1
            seen = shown(event)
            yield {
                "at": event.at,
                "kind": event.kind,
                "place": seen["place"],
                "method": seen["method"],
                "result": seen["reason_text"],
                "picture": str(event.data.get("picture") or ""),
            }


def _files(holder: Holder, sections: list[Section]) -> Iterator[tuple[str, bytes]]:
    for photo in Photo.objects.filter(credential__holder=holder):
        try:
            yield "photo.jpg", vault.reveal(bytes(photo.closed), f"photo {photo.pk}")
        except vault.VaultError:
            continue
    events = next((one.rows for one in sections if one.name == "events"), ())
    names = dict.fromkeys(str(row["picture"]) for row in events if row["picture"])
    for name in list(names)[:MOST_PICTURES]:
        try:
            path = path_of(name.removesuffix(".jpg"))
        except ValueError:
            continue
        if path.exists():
            yield f"pictures/{path.name}", path.read_bytes()
