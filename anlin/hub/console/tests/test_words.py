"""Every sentence on the screen exists in Chinese; every word of the core has one."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from django.template.base import Lexer, TokenType

from anlin.core.entities import Direction, HolderKind, Method, PortalKind, Status
from anlin.core.explanation import CHECKS
from anlin.core.portal import PortalState
from anlin.core.sync import CommandKind
from anlin.hub.console import words
from anlin.hub.people.faults import FAULTS
from anlin.vision.quality import QualityFault

pofile = pytest.importorskip("babel.messages.pofile")
extract = pytest.importorskip("babel.messages.extract")

HUB = Path(__file__).resolve().parents[2]
KEYWORDS = ("_:1", "gettext:1", "gettext_lazy:1", "ngettext:1,2", "ngettext_lazy:1,2")
_TRANSLATE = re.compile(r'translate (?:"([^"]*)"|\'([^\']*)\')')


def catalogue() -> dict[str, str | tuple[str, ...]]:
    with (HUB / "locale" / "zh_Hans" / "LC_MESSAGES" / "django.po").open("rb") as file:
        return {
            (m.id if isinstance(m.id, str) else m.id[0]): m.string
            for m in pofile.read_po(file)
            if m.id
        }


def in_code() -> set[str]:
    found = set()
    keywords = {word: (1, 2) if "ngettext" in word else None for word in KEYWORDS}
    keywords = {word.split(":")[0]: spec for word, spec in keywords.items()}
    for path in HUB.rglob("*.py"):
        if "tests" in path.parts:
            continue
        with path.open("rb") as file:
            for _line, message, _comments, _context in extract.extract("python", file, keywords):
                found.add(message if isinstance(message, str) else message[0])
    return found


def in_templates() -> set[str]:
    found = set()
    for path in HUB.rglob("templates/**/*.html"):
        tokens = iter(Lexer(path.read_text()).tokenize())
        for token in tokens:
            if token.token_type != TokenType.BLOCK:
                continue
            for match in _TRANSLATE.finditer(token.contents):
                found.add(match[1] or match[2])
            if token.contents.startswith("blocktranslate"):
                found.add(_block(tokens))
    return found


def _block(tokens) -> str:  # type: ignore[no-untyped-def]
    text = ""
    for token in tokens:
        if token.token_type == TokenType.BLOCK:
            break
        text += f"%({token.contents})s" if token.token_type == TokenType.VAR else token.contents
    return " ".join(line.strip() for line in text.strip().splitlines())


def test_every_sentence_has_its_chinese() -> None:
    known = catalogue()
    wanted = in_code() | in_templates()
    assert len(wanted) > 300
    assert sorted(wanted - set(known)) == []
    empty = [text for text, said in known.items() if not said or not all(said)]
    assert empty == []


def test_translations_keep_their_placeholders() -> None:
    placeholder = re.compile(r"%\(\w+\)[sd]")
    for text, said in catalogue().items():
        for one in (said,) if isinstance(said, str) else said:
            got, wanted = set(placeholder.findall(one)), set(placeholder.findall(text))
            assert got == wanted or (not isinstance(said, str) and got >= wanted), text


@pytest.mark.parametrize(
    ("table", "enum"),
    [
        (words.METHOD, Method),
        (words.DIRECTION, Direction),
        (words.HOLDER_KIND, HolderKind),
        (words.PORTAL_KIND, PortalKind),
        (words.CREDENTIAL_STATUS, Status),
        (words.COMMAND, CommandKind),
        (words.STATE, PortalState),
        (FAULTS, QualityFault),
    ],
)
def test_every_word_of_the_core_has_one_on_the_screen(table: Any, enum: Any) -> None:
    assert set(table) == set(enum)


def test_every_check_has_a_sentence() -> None:
    assert set(words.CHECK) == {check.name for check in CHECKS}


def test_every_icon_that_a_page_names_is_drawn() -> None:
    drawn = set(
        re.findall(r'symbol id="(\w+)"', (HUB / "console/static/anlin/icons.svg").read_text())
    )
    named = set()
    for path in HUB.rglob("templates/**/*.html"):
        named |= set(re.findall(r'{% icon "(\w+)"', path.read_text()))
    assert named <= drawn
    from anlin.hub.console import feed

    states = {word.icon for word in words.STATE.values()} | {words.UNKNOWN_STATE.icon}
    assert states | set(feed._ICONS.values()) | {place.icon for place in words.PLACES} <= drawn
    assert set(Method) | set(PortalKind) <= drawn
