"""Commands for whoever stands before an OSDP reader, on the machine of its node."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path
from typing import Annotated

import typer

from anlin.edge.osdp_keys import WISH_S, Wish

app = typer.Typer(no_args_is_help=True)

ANSWER_S = WISH_S + 60
"""The wish is good for a minute, and carrying it out takes at most half of one."""

_DEVICE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,79}")


@app.callback()
def osdp() -> None:
    """OSDP readers: give one a key of its own."""


@app.command()
def commission(
    home: Annotated[Path, typer.Argument(help="Home of the edge, or of `anlin up`.")],
    device: Annotated[str, typer.Argument(help="The line: the id of its device record.")],
    address: Annotated[int, typer.Argument(min=0, max=126, help="The reader's address.")],
) -> None:
    """Give a reader that is as from its box a new random key. The edge must be running.

    Readers on the same line are off for up to half a minute. Whoever records the line meanwhile
    can learn the key: do it over a cable of your own, not in the building's wall.
    """
    edge = edge_home(home)
    if edge is None:
        _fail(f"{home}: no edge lives here (there is no node.json)")
        return
    if not _DEVICE.fullmatch(device):
        _fail(f"{device}: not a device's id")
    keys = edge / "keys" / "osdp"
    wish = Wish(keys, device, address)
    try:
        wish.make(time.time())
        # An edge that runs as somebody else must be able to take it.
        owner = edge.stat()
        for path in (keys.parent, keys, *keys.glob(f"{device}-{address}.wanted")):
            os.chown(path, owner.st_uid, owner.st_gid)
    except OSError as error:
        _fail(f"{keys}: {error.strerror}; run this as the user of the edge")
    typer.echo(f"waiting for {device} to take up reader {address} …")
    outcome = _wait(wish)
    if outcome is None:
        wish.withdraw()
        _fail(f"nobody answered: is the edge running, and is {device} an OSDP line of it?")
    elif outcome:
        _fail(outcome)
    typer.secho(f"reader {address} of {device} has a key of its own", fg="green")


def edge_home(home: Path) -> Path | None:
    """Find the home of the one edge that lives in a folder or just below it."""
    found = [path.parent for path in (home / "node.json", *sorted(home.glob("*/node.json")))]
    lived_in = [folder for folder in found if (folder / "node.json").is_file()]
    return lived_in[0].resolve() if lived_in else None


def _wait(wish: Wish) -> str | None:
    deadline = time.monotonic() + ANSWER_S
    while time.monotonic() < deadline:
        outcome = wish.outcome()
        if outcome is not None:
            return outcome
        time.sleep(0.2)
    return None


def _fail(text: str) -> None:
    typer.secho(text, fg="red", err=True)
    raise typer.Exit(1)
