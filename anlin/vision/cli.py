"""`anlin models`: what recognition models this machine has, and getting better ones."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn
from rich.progress import TransferSpeedColumn as Speed
from rich.table import Table

from anlin.vision import models
from anlin.vision.models import Model, ModelError, Presence

app = typer.Typer(help="Recognition models: list and pull.", no_args_is_help=True)

_COLOURS = {Presence.PRESENT: "green", Presence.MISSING: "yellow", Presence.MISMATCH: "bold red"}


@app.command("list")
def list_models() -> None:
    """Show every model, where it comes from, and whether it can be used."""
    found = models.status()
    table = Table(title="Recognition models")
    for column in ("model", "task", "tier", "state", "licence", "where"):
        table.add_column(column, overflow="fold")
    for entry in found:
        model = entry.model
        where = str(entry.path.parent) if entry.path else "anlin models pull"
        table.add_row(
            model.name + (" (optional)" if model.optional else ""),
            model.task,
            str(model.tier),
            f"[{_COLOURS[entry.presence]}]{entry.presence}[/]",
            model.licence,
            f"package {model.package}" if model.package and entry.path else where,
        )
    console = Console()
    console.print(table)
    better = [e for e in found if e.model.tier == 2 and not e.model.optional]
    for task, tasks in (("faces", "face_"), ("plates", "plate_")):
        ready = all(
            e.presence is Presence.PRESENT for e in better if e.model.task.startswith(tasks)
        )
        console.print(f"{task}: tier {2 if ready else 1}")
    if any(entry.presence is Presence.MISMATCH for entry in found):
        raise typer.Exit(1)


@app.command("pull")
def pull_models(
    source: Annotated[
        str,
        typer.Option(
            "--from",
            envvar="ANLIN_MODELS_MIRROR",
            help="Mirror address (http, https) or folder that holds the model files.",
        ),
    ],
    names: Annotated[
        list[str] | None, typer.Argument(help="Models to get; all when none is named.")
    ] = None,
) -> None:
    """Get the better models, check each against its hash, and keep them under ANLIN_HOME."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), Speed())
    with Progress(*columns, console=console) as bar:
        tasks: dict[str, TaskID] = {}

        def advance(model: Model, bytes_so_far: int) -> None:
            if model.name not in tasks:
                tasks[model.name] = bar.add_task(model.name, total=model.size_bytes)
            bar.update(tasks[model.name], completed=bytes_so_far)

        wanted = names or [name for name, model in models.manifest().items() if not model.package]
        failed: list[ModelError] = []
        for name in wanted:
            try:
                models.pull([name], source, advance)
            except ModelError as error:
                failed.append(error)
    for refusal in failed:
        console.print(f"[red]{refusal}[/]")
    if failed:
        raise typer.Exit(1)
    console.print(f"{len(wanted)} models are in {models.home_folder()}")
