"""The `anlin` command. What a command alone needs is imported when it runs: help comes at once."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from anlin import __version__, up
from anlin.edge.cli import app as records
from anlin.edge.osdp_cli import app as osdp
from anlin.vision.cli import app as models

app = typer.Typer(
    help="Anlin (安邻): open, self-hosted security for residential communities.",
    no_args_is_help=True,
    add_completion=False,
)
app.add_typer(records)
app.add_typer(osdp, name="osdp", help="OSDP readers: give one a key of its own.")
app.add_typer(models, name="models", help="The model files that cameras use.")

Home = Annotated[
    Path,
    typer.Option(envvar="ANLIN_HOME", help="Folder of everything that is kept."),
]
_HOME = Path("var")


def _say_version(is_wanted: bool) -> None:
    if is_wanted:
        typer.echo(f"anlin {__version__}")
        raise typer.Exit


@app.callback()
def anlin(
    version: Annotated[
        bool, typer.Option("--version", callback=_say_version, help="Say the version and stop.")
    ] = False,
) -> None:
    """Anlin (安邻): open, self-hosted security for residential communities."""


@app.command("up")
def start(
    home: Home = _HOME,
    node_code: Annotated[
        str, typer.Option(envvar="ANLIN_NODE_CODE", help="One-time code of this machine's node.")
    ] = "",
    listen: Annotated[
        str, typer.Option(help="Let other machines in at this address, by TLS only.")
    ] = "",
    name: Annotated[str, typer.Option(help="The name that the certificate is for.")] = "",
    cert: Annotated[Path | None, typer.Option(help="Certificate chain, PEM.")] = None,
    key: Annotated[Path | None, typer.Option(help="Its key, PEM.")] = None,
) -> None:
    """Run hub, broker and edge on this machine until Ctrl-C."""
    outside = None
    if listen or name or cert or key:
        if not (listen and name and cert and key):
            raise typer.BadParameter("--listen, --name, --cert and --key belong together")
        outside = up.Outside(name, listen, cert, key)
    wanted = up.Addresses(outside=outside)
    raise typer.Exit(_told(lambda: up.run(home, wanted=wanted, node_code=node_code)))


@app.command()
def demo(
    home: Home = _HOME,
    once: Annotated[bool, typer.Option(help="Tell the story, then stop.")] = False,
) -> None:
    """Run everything with a simulated community, and tell a morning at its gates."""
    from anlin.sim import demo as simulated

    raise typer.Exit(_told(lambda: simulated.run(home, once=once)))


@app.command()
def show(
    method: Annotated[str, typer.Argument(help="card, qr, face or plate.")],
    value: Annotated[str, typer.Argument(help="Card number, pass text, or a picture's path.")],
    at: Annotated[str, typer.Option(help="Which gate: north, south, lane, door-1 …")] = "north",
    home: Home = _HOME,
) -> None:
    """Show something of your own at a gate of the running demo."""
    from anlin.sim import hands

    if method in ("face", "plate"):
        value = str(Path(value).resolve())
    try:
        typer.echo(hands.ask(home.resolve(), method, value, at))
    except hands.HandsError as error:
        typer.secho(str(error), fg="red", err=True)
        raise typer.Exit(1) from error


@app.command()
def found(
    plan: Annotated[Path, typer.Argument(help="The site plan, a TOML file.")],
    home: Home = _HOME,
) -> None:
    """Make a community from a site plan; show its secrets once."""
    raise typer.Exit(_told(lambda: _found(plan, home)))


def _found(path: Path, home: Path) -> int:
    home = home.resolve()
    up.migrate(home, Console())
    os.environ.update(up.hub_env(home, up.DEFAULT))
    import django

    django.setup()
    from anlin.hub.audit.log import Actor
    from anlin.hub.errors import RuleError
    from anlin.hub.plan import found as make
    from anlin.hub.plan import read_plan

    try:
        made = make(read_plan(tomllib.loads(path.read_text())), Actor.command("anlin found"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, RuleError) as error:
        raise up.Failed(f"{path}: {error}") from error
    up.keep_node_code(home, made.node_code)
    typer.echo(f"log in as {made.manager} with {made.password}")
    for name, (device, password) in made.devices.items():
        if password:
            typer.echo(f"{name}: MQTT user {device}, password {password}")
    typer.echo("these are shown once; now: anlin up")
    return 0


def _told(work: Callable[[], int]) -> int:
    try:
        return work()
    except (up.AlreadyRunning, up.Failed) as error:
        typer.secho(str(error), fg="red", err=True)
        return 1


def main() -> None:
    """Run the command line."""
    app()


if __name__ == "__main__":
    main()
