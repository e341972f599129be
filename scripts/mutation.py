"""Break the decision core on purpose, one small way at a time, and see that a test notices.

    python scripts/mutation.py                      core.access and core.portal
    python scripts/mutation.py anlin.core.lane      another module of SUITES
    python scripts/mutation.py anlin.core.access decide _alone       only these functions

Each mutant changes one thing in one function: a comparison, a boundary, a condition, a constant,
an argument left out, a statement deleted. It is put into the running module of a forked child,
which runs that module's fast tests and stops at the first that fails. One process at a time.

A mutant that no test notices must stand, with its reason, in docs/proof/mutation.md; otherwise
this exits with 1.
"""

from __future__ import annotations

import ast
import contextlib
import copy
import gc
import importlib
import io
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

os.environ.setdefault("HYPOTHESIS_PROFILE", "quick")

import pytest

ROOT = Path(__file__).resolve().parent.parent
REASONS = ROOT / "docs" / "proof" / "mutation.md"
TIMEOUT_S = 120
"""A mutant that loops for ever is noticed as well; the whole suite takes a tenth of this."""

SUITES = {
    "anlin.core.access": ("test_access", "test_access_neighbours", "test_access_properties"),
    "anlin.core.portal": ("test_portal", "test_portal_properties", "test_portal_model"),
    "anlin.core.lane": ("test_lane", "test_lane_model"),
    "anlin.core.hold": ("test_portal", "test_lane", "test_portal_model", "test_lane_model"),
}
"""The tests of each module, the fastest first."""

BY_DEFAULT = ("anlin.core.access", "anlin.core.portal")

SWAPS: dict[type[ast.AST], type[ast.AST]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.And: ast.Or,
    ast.Or: ast.And,
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
}

FunctionNode = ast.FunctionDef
Change = Callable[[ast.AST], None]


@dataclass(frozen=True)
class Mutant:
    """One function with one thing changed."""

    function: str
    line: int
    was: str
    now: str
    tree: FunctionNode

    @property
    def name(self) -> str:
        return f"`{self.function}`: `{self.was}` → `{self.now}`"


def changes_of(node: ast.AST) -> Iterator[Change]:
    """Give every way in which one node may be changed in place."""
    if isinstance(node, ast.Compare):
        for index, op in enumerate(node.ops):
            if type(op) in SWAPS:
                yield lambda n, i=index: n.ops.__setitem__(i, SWAPS[type(n.ops[i])]())  # type: ignore[misc]
    if isinstance(node, ast.BoolOp | ast.BinOp) and type(node.op) in SWAPS:
        yield lambda n: setattr(n, "op", SWAPS[type(n.op)]())  # type: ignore[attr-defined]
    if isinstance(node, ast.Constant):
        value = node.value
        if isinstance(value, bool):
            yield lambda n: setattr(n, "value", not value)
        elif isinstance(value, int | float):
            yield lambda n: setattr(n, "value", value + 1)
        elif isinstance(value, str) and value:
            yield lambda n: setattr(n, "value", value + "x")
    if isinstance(node, ast.If | ast.IfExp | ast.While):
        yield lambda n: setattr(n, "test", ast.UnaryOp(ast.Not(), n.test))  # type: ignore[attr-defined]
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield lambda n: setattr(n, "operand", ast.UnaryOp(ast.Not(), n.operand))  # type: ignore[attr-defined]
    if isinstance(node, ast.Return) and not _is_none(node.value):
        yield lambda n: setattr(n, "value", ast.Constant(None))
    if isinstance(node, ast.Call):
        for index in range(len(node.keywords)):
            yield lambda n, i=index: n.keywords.pop(i)  # type: ignore[misc]
    for name in ("body", "orelse"):
        block = getattr(node, name, None)
        if not isinstance(block, list):
            continue
        for index, statement in enumerate(block):
            if isinstance(statement, ast.Assign | ast.AugAssign | ast.Expr) and not _is_doc(
                statement
            ):
                yield lambda n, b=name, i=index: getattr(n, b).__setitem__(i, ast.Pass())  # type: ignore[misc]


def _is_none(node: ast.AST | None) -> bool:
    return node is None or (isinstance(node, ast.Constant) and node.value is None)


def _is_doc(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def mutants_of(function: FunctionNode, name: str) -> Iterator[Mutant]:
    """Give every mutant of one function."""
    skipped = {id(part) for node in ast.walk(function) for part in _not_code(node)}
    for number, node in enumerate(ast.walk(function)):
        if id(node) in skipped:
            continue
        for change in changes_of(node):
            tree = copy.deepcopy(function)
            changed = list(ast.walk(tree))[number]
            change(changed)
            ast.fix_missing_locations(tree)
            was, now = _differing(ast.unparse(function), ast.unparse(tree))
            if was != now:
                yield Mutant(name, getattr(node, "lineno", function.lineno), was, now, tree)


def _not_code(node: ast.AST) -> Iterator[ast.AST]:
    """Name what is no behaviour: annotations, documentation, assertions, parts of f-strings."""
    if isinstance(node, FunctionNode):
        for annotation in [node.returns, *[arg.annotation for arg in node.args.args]]:
            yield from ast.walk(annotation) if annotation is not None else ()
    if isinstance(node, ast.AnnAssign):
        yield from ast.walk(node.annotation)
    if (isinstance(node, ast.Expr) and _is_doc(node)) or isinstance(
        node, ast.Assert | ast.JoinedStr
    ):
        yield from ast.walk(node)


def _differing(before: str, after: str) -> tuple[str, str]:
    """Give the lines in which two texts differ, as one line each."""
    old, new = before.splitlines(), after.splitlines()
    while old and new and old[0] == new[0]:
        old, new = old[1:], new[1:]
    while old and new and old[-1] == new[-1]:
        old, new = old[:-1], new[:-1]
    return " ".join(line.strip() for line in old), " ".join(line.strip() for line in new)


def functions_of(module: ModuleType) -> Iterator[tuple[str, FunctionNode, FunctionType]]:
    """Give each function and method of a module with its source tree."""
    source = Path(str(module.__file__)).read_text()
    for node in ast.parse(source).body:
        if isinstance(node, FunctionNode):
            yield node.name, node, getattr(module, node.name)
        elif isinstance(node, ast.ClassDef):
            for part in node.body:
                if isinstance(part, FunctionNode):
                    found: Any = getattr(module, node.name).__dict__[part.name]
                    found = found.fget if isinstance(found, property) else found
                    yield f"{node.name}.{part.name}", part, found


def put_in(module: ModuleType, target: FunctionType, tree: FunctionNode) -> None:
    """Replace a function's code where it stands, whoever has imported it."""
    bare = copy.copy(tree)
    bare.decorator_list = []
    body = ast.fix_missing_locations(ast.Module([bare], []))
    code = compile(
        body,
        str(module.__file__),
        "exec",
        flags=annotations.compiler_flag,
        dont_inherit=True,
    )
    scratch: dict[str, Any] = {}
    exec(code, module.__dict__, scratch)
    target.__code__ = scratch[tree.name].__code__


class Loop:
    """Runs a module's tests once for each mutant; they are collected only once."""

    def __init__(self, name: str, only: list[str], reasons: str) -> None:
        self.name, self.only, self.reasons = name, only, reasons
        self.module = importlib.import_module(name)
        self.verdict = ""
        self.unexplained = 0
        self.items: list[pytest.Item] = []
        """The tests, those first that noticed a mutant last: they will notice the next."""
        self.told = -1

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """End the child at the first test that fails, and say which."""
        if report.failed:
            os.write(self.told, report.nodeid.encode())
            os._exit(1)

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Take the place of the usual loop over the tests."""
        for module in {item.module for item in session.items if isinstance(item, pytest.Function)}:
            # What no mutant changes is made once, before there are children.
            getattr(module, "cases", tuple)()
        self.items = list(session.items)
        gc.collect()
        gc.freeze()  # or each child copies the heap as it counts references
        if self._is_noticed(None, None):
            self.verdict = f"{self.name}: its tests fail without any mutant"
            self.unexplained = 1
            return True
        started, tried, survived = time.monotonic(), 0, 0
        for function, tree, target in functions_of(self.module):
            if self.only and function not in self.only:
                continue
            for mutant in mutants_of(tree, function):
                tried += 1
                if self._is_noticed(target, mutant):
                    continue
                survived += 1
                is_known = mutant.name in self.reasons
                self.unexplained += not is_known
                mark = "known" if is_known else "NOT KNOWN"
                print(f"survived, {mark}: line {mutant.line} {mutant.name}", file=sys.__stderr__)
        minutes = (time.monotonic() - started) / 60
        share = 100 * (tried - survived) / max(1, tried)
        self.verdict = (
            f"{self.name}: {tried - survived} of {tried} noticed ({share:.1f} %) "
            f"in {minutes:.1f} min"
        )
        return True

    def _is_noticed(self, target: FunctionType | None, mutant: Mutant | None) -> bool:
        """Try one mutant, or none, in a child of its own."""
        heard, self.told = os.pipe()
        child = os.fork()
        if child == 0:
            signal.alarm(TIMEOUT_S)
            try:
                if target is not None and mutant is not None:
                    put_in(self.module, target, mutant.tree)
                for item in self.items:
                    item.config.hook.pytest_runtest_protocol(item=item, nextitem=None)
            except BaseException:  # noqa: BLE001  whatever it is, the mutant was noticed
                os._exit(1)
            os._exit(0)
        os.close(self.told)
        _, status = os.waitpid(child, 0)
        with os.fdopen(heard) as pipe:
            name = pipe.read()
        self.items.sort(key=lambda item: item.nodeid != name)
        return status != 0


def main(arguments: list[str]) -> int:
    """Try every mutant of the modules that were asked for; say which nobody noticed."""
    modules = [name for name in arguments if name in SUITES] or list(BY_DEFAULT)
    only = [name for name in arguments if name not in SUITES]
    reasons = REASONS.read_text() if REASONS.exists() else ""
    # No assertion is rewritten: a mutant needs a verdict, no picture of it.
    options = ["-q", "--no-header", "--assert=plain", "--capture=no", "--override-ini=addopts="]
    for plugin in ("cacheprovider", "django", "asyncio", "xdist", "playwright", "pytest_cov"):
        options += ["-p", f"no:{plugin}"]
    unexplained = 0
    for name in modules:
        loop = Loop(name, only, reasons)
        paths = [str(ROOT / "tests" / "core" / f"{file}.py") for file in SUITES[name]]
        with contextlib.redirect_stdout(io.StringIO()):
            pytest.main([*options, *paths], plugins=[loop])
        print(loop.verdict or f"{name}: its tests could not be collected")
        unexplained += loop.unexplained + (not loop.verdict)
    return 1 if unexplained else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
