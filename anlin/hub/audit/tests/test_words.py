"""Every line that the hub can write in its change log is said in words, in both languages."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.apps import apps
from django.utils import translation

import anlin.hub
from anlin.core.sync import CommandKind
from anlin.hub.audit import words
from anlin.hub.console import words as console
from anlin.hub.console.tests.conftest import _catalogues
from anlin.hub.office.models import JobKind
from anlin.hub.people.models import Proven
from anlin.hub.privacy.models import RequestState
from anlin.hub.resident.models import AskState

__all__ = ["_catalogues"]

HUB = Path(anlin.hub.__file__).parent
WRITERS = {"created", "deleted", "changing", "noted", "changed", "all_changed", "noted_about"}
ACTION_AT = {"noted_about": 2}
"""Where the action stands among the arguments; it is the fourth elsewhere."""

MADE_UP = {
    "add {method.value}": [f"add {method}" for method in console.METHOD],
    "command {kind.value}": [f"command {kind.value}" for kind in CommandKind],
    "ask for {kind.value}": [f"ask for {kind.value}" for kind in JobKind],
    "go on with {job.kind}": [f"go on with {kind.value}" for kind in JobKind],
    "prove by {how.value}": [f"prove by {how.value}" for how in Proven if how],
    "request {state.value}": [f"request {state.value}" for state in RequestState],
    "household ask {state.value}": [
        f"household ask {state.value}" for state in AskState if state != AskState.WAITING
    ],
}
"""Actions that are put together, with everything that may come of them."""

SILENT = frozenset(
    {
        # What is reported by edges, counted or drawn; nobody's act.
        "access.nodekey",
        "access.policychange",
        "access.portalstatus",
        "accounts.factordue",
        "accounts.phonecode",
        "accounts.signin",
        "accounts.tries",
        "audit.change",
        "audit.rewriting",
        "audit.view",
        "devices.devicestate",
        "devices.folded",
        "events.event",
        "events.nodelog",
        "events.picture",
        "events.quarantine",
        "notices.attempt",
        "notices.delivery",
        "notices.noticeread",
        "notices.pushkey",
        "office.indexstate",
        "office.searchterm",
        "privacy.confirmation",
        "privacy.cursor",
        "privacy.latepicture",
        "privacy.receipt",
        "privacy.run",
        "resident.opening",
        "state.devicetable",
        "state.portalhold",
        "state.presence",
        "visits.jobrun",
        "visits.visitwindow",
    }
)
"""Models about which no line of the change log is written."""


def written() -> Iterator[tuple[str, str]]:
    """Give each action of each call that writes a line, with where it stands."""
    for path in sorted(HUB.rglob("*.py")):
        if "tests" in path.parts or "migrations" in path.parts or path.name == "log.py":
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for function in [tree, *(n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef))]:
            for call in _calls(function):
                if _name(call) in WRITERS:
                    where = f"{path.relative_to(HUB)}:{call.lineno}"
                    for action in _actions(call, function, tree):
                        yield action, where


def _calls(node: ast.AST) -> Iterator[ast.Call]:
    """Give the calls of one body, without those of the functions inside it."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.ClassDef) and isinstance(node, ast.Module):
            if isinstance(child, ast.ClassDef):
                yield from _calls(child)
            continue
        if isinstance(child, ast.FunctionDef):
            continue
        if isinstance(child, ast.Call):
            yield child
        yield from _calls(child)


def _name(call: ast.Call) -> str:
    match call.func:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
    return ""


def _actions(call: ast.Call, function: ast.AST, tree: ast.Module) -> list[str]:
    given = next((one.value for one in call.keywords if one.arg == "action"), None)
    at = ACTION_AT.get(_name(call), 3)
    if given is None and _name(call) not in ("created", "deleted"):
        given = call.args[at]
    if given is None:
        return ["add"]
    if isinstance(given, ast.Name) and isinstance(function, ast.FunctionDef):
        return _passed(function, given.id, tree)
    return _said(given)


def _passed(function: ast.FunctionDef, name: str, tree: ast.Module) -> list[str]:
    """Give what the callers in the same file pass as this parameter."""
    names = [one.arg for one in function.args.args]
    if name not in names:
        raise AssertionError(f"line {function.lineno}: {name} is no parameter")
    at, found = names.index(name), []
    for call in ast.walk(tree):
        if isinstance(call, ast.Call) and _name(call) == function.name:
            by_name = next((one.value for one in call.keywords if one.arg == name), None)
            found += _said(by_name if by_name is not None else call.args[at])
    return found


def _said(node: ast.expr) -> list[str]:
    match node:
        case ast.Constant(value=str() as text):
            return [text]
        case ast.IfExp(body=one, orelse=other):
            return [*_said(one), *_said(other)]
        case ast.JoinedStr():
            return MADE_UP[ast.unparse(node)[2:-1]]
    raise AssertionError(f"line {node.lineno}: {ast.unparse(node)} can't be followed to its words")


@pytest.mark.usefixtures("_catalogues")
@pytest.mark.parametrize("language", ["en", "zh-hans"])
def test_every_action_has_words(language: str) -> None:
    faults = set()
    with translation.override(language):
        found = sorted(set(written()))
        for action, where in found:
            said = words.action_word(action)
            known = action in words.ACTIONS or action.removeprefix("add ") in console.METHOD
            if not known or (language == "zh-hans" and not re.search("[一-鿿]", said)):
                faults.add(f"{action!r} ({where}): {said}")
    assert len(found) > 100, "the search for the calls finds them no more"
    assert not faults, "\n".join(sorted(faults))


@pytest.mark.usefixtures("_catalogues")
@pytest.mark.parametrize("language", ["en", "zh-hans"])
def test_every_model_that_a_line_may_be_about_has_words(language: str) -> None:
    ours = {
        model._meta.label_lower
        for model in apps.get_models()
        if model.__module__.startswith("anlin.hub.") and not model._meta.auto_created
    }
    assert ours >= SILENT, "a name of no model"
    assert set(words.MODELS) <= ours - SILENT, sorted(set(words.MODELS) - ours)
    assert not (ours - SILENT - set(words.MODELS)), sorted(ours - SILENT - set(words.MODELS))
    with translation.override(language):
        for label in words.MODELS:
            said = words.model_word(label)
            assert said
            assert language == "en" or re.search("[一-鿿]", said), label


@pytest.mark.usefixtures("_catalogues")
def test_what_was_looked_at_has_words_in_chinese() -> None:
    with translation.override("zh-hans"):
        for what in looked_at():
            assert re.search("[一-鿿]", words.view_word(what)), what


def looked_at() -> set[str]:
    """Give what the calls of `viewed` say was looked at, where they say it in so many words."""
    found = set()
    for path in sorted(HUB.rglob("*.py")):
        if "tests" in path.parts or "migrations" in path.parts:
            continue
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(call, ast.Call):
                at = {"viewed": 2, "_look": 1}.get(_name(call))
                if at is not None and len(call.args) > at:
                    match call.args[at]:
                        case ast.Constant(value=str() as text):
                            found.add(text)
    return found
