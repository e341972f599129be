"""Figures: what a benchmark yields, the table for people, and the lines for machines."""

from __future__ import annotations

import json
import os
import platform
import sys
import timeit
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

OUT = Path(__file__).parent / "out"


class Skipped(Exception):
    """A benchmark that can't run here; says what is missing."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured number, beside a peer's from the same run.

    Attributes:
        name: benchmark, and after a dot what was measured.
        target: what it should reach; None where the number only informs.
        n: how many single measurements are behind `value`.
    """

    name: str
    value: float
    unit: str
    n: int
    target: float | None = None
    peer: str | None = None
    peer_value: float | None = None

    @property
    def is_rate(self) -> bool:
        """Whether more is better; otherwise less is."""
        return self.unit.endswith(("/s", "% right"))

    @property
    def ratio(self) -> float | None:
        """How many times better than the peer: above 1 is better, whatever the unit."""
        if self.peer_value is None or not self.value or not self.peer_value:
            return None
        ours, theirs = self.value, self.peer_value
        return ours / theirs if self.is_rate else theirs / ours

    @property
    def is_reached(self) -> bool | None:
        """Whether the target is met; None without one."""
        if self.target is None:
            return None
        return self.value >= self.target if self.is_rate else self.value <= self.target

    def __str__(self) -> str:
        beside = f"; {self.peer} {short(self.peer_value)}" if self.peer else ""
        return f"{self.name} {short(self.value)} {self.unit}{beside} (n={self.n})"


def short(value: float | None) -> str:
    """Write a number with three digits that matter."""
    if value is None:
        return ""
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def quantile(values: Sequence[float], share: float) -> float:
    """Give the value below which a share of the values lies (nearest rank)."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def machine() -> str:
    """Say on what this ran."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    cores = os.cpu_count()
    python = platform.python_version()
    return f"{cores} x {model}, {gib:.0f} GiB, {platform.system()}, Python {python}"


def pace() -> str:
    """Say how fast this machine is just now; a shared one can be several times slower than it was.

    An undisturbed core at 2.5 GHz needs about 25 ns for one turn of an empty loop.
    """
    best = min(timeit.repeat("for _ in range(100_000): pass", number=1, repeat=9))
    return f"{best * 1e4:.0f} ns a turn of an empty loop, load {os.getloadavg()[0]:.1f}"


def say(text: str) -> None:
    """Tell the person who waits how far it is."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def to_line(figure: Figure) -> str:
    """Write a figure as one JSON object."""
    ratio = figure.ratio
    data = {
        "name": figure.name,
        "value": _digits(figure.value),
        "unit": figure.unit,
        "target": figure.target,
        "peer": figure.peer,
        "peer_value": _digits(figure.peer_value),
        "ratio": _digits(ratio),
        "n": figure.n,
        "machine": machine(),
    }
    return json.dumps(data, ensure_ascii=False)


def write(name: str, figures: Sequence[Figure]) -> None:
    """Keep a benchmark's figures in bench/out; figures of an earlier run go."""
    OUT.mkdir(exist_ok=True)
    lines = [to_line(figure) + "\n" for figure in figures]
    (OUT / f"{name}.jsonl").write_text("".join(lines))


def kept(name: str) -> list[Figure]:
    """Read the figures that a benchmark kept."""
    figures = []
    for line in (OUT / f"{name}.jsonl").read_text().splitlines():
        data = json.loads(line)
        del data["ratio"], data["machine"]
        figures.append(Figure(**data))
    return figures


def show(figures: Sequence[Figure], missing: Mapping[str, str]) -> None:
    """Print the table, what is missing, and last the JSON lines."""
    table = Table(title=f"{machine()}; {pace()}", title_style="dim")
    for heading in ("figure", "value", "unit", "target", "", "peer", "its value", "ratio", "n"):
        table.add_column(
            heading, justify="left" if heading in ("figure", "unit", "peer") else "right"
        )
    words = {True: "[green]met[/]", False: "[red]missed[/]", None: ""}
    for figure in figures:
        ratio = figure.ratio
        table.add_row(
            figure.name,
            short(figure.value),
            figure.unit,
            short(figure.target),
            words[figure.is_reached],
            figure.peer or "",
            short(figure.peer_value),
            f"{ratio:.1f}x" if ratio is not None else "",
            f"{figure.n:,}",
        )
    wide = None if sys.stdout.isatty() else 140
    console = Console(file=sys.stdout, width=wide)
    console.print(table)
    for name, reason in missing.items():
        console.print(f"{name}: {reason}")
    sys.stdout.writelines(to_line(figure) + "\n" for figure in figures)


def _digits(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.4g}")
