"""The `anlin` command."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from anlin import __version__
from anlin.vision.cli import app as models

app = typer.Typer(
    help="Anlin (安邻): open, self-hosted security for residential communities.",
    no_args_is_help=True,
    add_completion=False,
)
app.add_typer(models, name="models", help="The model files that cameras use.")

Home = Annotated[
    Path,
    typer.Option(envvar="ANLIN_HOME", help="Folder of everything that is kept."),
]


@app.callback(invoke_without_command=True)
def _version(
    version: Annotated[bool, typer.Option("--version", help="Say the version and stop.")] = False,
) -> None:
    if version:
        typer.echo(f"anlin {__version__}")
        raise typer.Exit


def main() -> None:
    """Run the command line."""
    app()


if __name__ == "__main__":
    main()
