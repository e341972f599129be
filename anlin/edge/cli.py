"""Commands that look into a journal: verify its chain, replay its decisions, explain one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress
from rich.table import Table

from anlin.core.event import Event
from anlin.core.replay import NoDecision, is_decision
from anlin.edge.alarms import Account, account
from anlin.edge.records import Break, Records, RecordsError

app = typer.Typer()

MAX_SHOWN = 20
"""Faults printed one by one; a broken page can be ten thousand of them."""

JournalFile = Annotated[Path, typer.Argument(help="A node's journal.sqlite3, or a copy of it.")]
ReplicaFile = Annotated[
    Path | None, typer.Option(help="The node's replica.sqlite3; by default the one beside it.")
]
NodeName = Annotated[str, typer.Option("--node", help="Whose journal it is, where it can't say.")]


@app.command()
def verify(journal: JournalFile, replica: ReplicaFile = None, node: NodeName = "") -> None:
    """Prove a journal's hash chain, or say where it breaks."""
    console, found, last = Console(), 0, ""
    with _records(journal, replica, node) as records, _progress(console, records.count) as step:
        try:
            for item in records.breaks():
                step()
                if isinstance(item, Break):
                    found += 1
                    _fault(console, found, f"event {item.seq}: {item.rule}")
                else:
                    last = f"{item.seq} {item.hash}"
        except RecordsError as error:
            found += 1
            _fault(console, found, str(error))
        console.print(f"{records.count} events of {records.node}; the last that holds: {last}")
    _end(console, found, "the chain holds", "places where the chain breaks")


@app.command()
def replay(journal: JournalFile, replica: ReplicaFile = None, node: NodeName = "") -> None:
    """Decide every decision of a journal again; each must fall as it is recorded."""
    console, agree, differ, open_ = Console(), 0, 0, 0
    with _records(journal, replica, node) as records, _progress(console, None) as step:
        for item in records.differences():
            step()
            if isinstance(item, Event):
                agree += 1
            elif item.is_defect:
                differ += 1
                _fault(console, differ, f"event {item.event.seq} {item.event.subject}: {item.rule}")
            else:
                open_ += 1
                if open_ <= MAX_SHOWN:
                    console.print(f"event {item.event.seq}: not replayed: {item.rule}")
    console.print(f"{agree} decisions agree, {differ} differ, {open_} could not be replayed")
    _end(console, differ, "every decision that could be replayed agrees", "decisions differ")


@app.command()
def explain(
    event: Annotated[int, typer.Argument(help="The event's number in its node's journal.")],
    journal: Annotated[Path, typer.Option(help="The node's journal.sqlite3.")] = Path(
        "var/edge-1/journal.sqlite3"
    ),
    replica: ReplicaFile = None,
    node: NodeName = "",
) -> None:
    """Say why a decision fell, check by check; or what raised an alarm, and what ended it."""
    console = Console()
    with _records(journal, replica, node) as records:
        try:
            recorded = records.event(event)
            if not is_decision(recorded):
                _tell(console, recorded, account(records, recorded))
                return
            found = records.again(recorded)
        except (NoDecision, RecordsError) as error:
            typer.secho(str(error), fg="red", err=True)
            raise typer.Exit(1) from error
    decision = found.decision
    console.print(
        f"{recorded.at.isoformat()}  {decision.method} at {decision.point}: "
        f"[bold]{decision.reason}[/bold]  (rules as of {recorded.revision})"
    )
    if decision.label or decision.holder:
        console.print(f"holder {decision.holder}  {decision.label}", markup=False)
    if decision.rule:
        console.print(f"rule {decision.rule}", markup=False)
    table = Table("check", "outcome", "what it saw")
    for row in found.checks:
        table.add_row(
            row.name, _MARK.get(row.outcome, f"[red]{row.outcome}[/red]"), escape(row.saw)
        )
    console.print(table)
    if found.difference:
        typer.secho(f"this is a defect: {found.difference}", fg="red", err=True)
        raise typer.Exit(1)


def _tell(console: Console, event: Event, told: Account) -> None:
    """Print what is known of an alarm, or of any other event that is no decision."""
    console.print(
        f"{event.at.isoformat()}  [bold]{event.kind}[/bold] of {escape(event.subject)}  "
        f"(rules as of {event.revision})"
    )
    rows = Table("what", "told", show_header=False)
    if told.rule:
        rows.add_row("raised because", told.rule)
        if told.began is not None:
            rows.add_row("began with", _named(told.began))
        rows.add_row("since", told.since.isoformat())
    for name, value in told.settings.items():
        rows.add_row(f"setting {name}", f"{value}")
    if told.missing:
        rows.add_row("settings", escape(told.missing))
    for name, value in event.data.items():
        rows.add_row(f"recorded {escape(name)}", escape(str(value)))
    if told.ended is not None:
        lasted_s = (told.ended.at - told.since).total_seconds()
        rows.add_row("ended by", f"{_named(told.ended)}, after {lasted_s:.1f} s")
    elif told.can_end:
        rows.add_row("ended by", "nothing yet in this journal")
    elif told.rule:
        rows.add_row("ended by", "nothing: a person takes note of it")
    console.print(rows)


def _named(event: Event) -> str:
    by = event.data.get("by")
    who = f" by {escape(str(by))}" if by else ""
    return f"event {event.seq} {event.kind}{who} at {event.at.isoformat()}"


_MARK = {"passed": "[green]passed[/green]", "not_reached": "[dim]not reached[/dim]"}


@contextmanager
def _records(journal: Path, replica: Path | None, node: str) -> Iterator[Records]:
    try:
        records = Records(journal, replica, node)
    except RecordsError as error:
        typer.secho(str(error), fg="red", err=True)
        raise typer.Exit(2) from error
    try:
        yield records
    finally:
        records.close()


class _Steps:
    def __init__(self, progress: Progress, total: int | None) -> None:
        self._progress = progress
        self._task = progress.add_task("reading", total=total)

    def __call__(self) -> None:
        self._progress.advance(self._task)


@contextmanager
def _progress(console: Console, total: int | None) -> Iterator[_Steps]:
    with Progress(console=console, transient=True) as progress:
        yield _Steps(progress, total)


def _fault(console: Console, number: int, text: str) -> None:
    if number <= MAX_SHOWN:
        console.print(f"[red]{escape(text)}[/red]")
    elif number == MAX_SHOWN + 1:
        console.print("[red]… and more[/red]")


def _end(console: Console, found: int, well: str, ill: str) -> None:
    if found:
        console.print(f"[red]{found} {ill}[/red]")
        raise typer.Exit(1)
    console.print(f"[green]{well}[/green]")
