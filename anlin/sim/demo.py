"""`anlin demo`: everything on one machine, a seeded community, and the morning at its gate."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console

from anlin import up
from anlin.up import Addresses, Failed, Program


@dataclass(frozen=True, slots=True)
class _Prepared:
    """What the preparation gave: the node's code before its first start, and fresh log-ins."""

    code: str | None
    logins: dict[str, str]
    resident_phone: str


def run(
    home: Path,
    *,
    wanted: Addresses = up.DEFAULT,
    once: bool = False,
    console: Console | None = None,
) -> int:
    """Run the demo until Ctrl-C, or with `once` until the story is over; give the exit code.

    Raises:
        up.AlreadyRunning: this state folder is in use.
        up.Failed: the community could not be prepared.
    """
    console = console or Console()
    started_at = time.time()
    home = home.resolve()
    addresses = up.free_addresses(wanted)
    with up.locked(home, addresses):
        up.prepare_broker(home, addresses.mqtt)
        try:
            prepared = asyncio.run(_prepare(home, addresses, console))
        except KeyboardInterrupt:
            console.print("Stopped; nothing runs any more.")
            return 130
        for name, password in prepared.logins.items():
            console.print(f"  log in as [bold]{name}[/] with [bold]{password}[/]", highlight=False)
        console.print(
            f"  resident: [bold]{addresses.hub_url}/home/login[/] with"
            f" [bold]{prepared.resident_phone}[/]; the code appears here",
            highlight=False,
        )
        programs = _programs(home, addresses, prepared.code or "", once, started_at)
        told = f"Open [bold]{addresses.hub_url}[/] (state in {home}, logs in {home / 'log'})"
        return asyncio.run(up.supervise(home, programs, console, told))


def _programs(
    home: Path, addresses: Addresses, code: str, once: bool, started_at: float
) -> list[Program]:
    """Give all processes; the edge reaches the hub over cables that the simulator can cut."""
    cables = {addresses.hub: up.free_port(), addresses.live: up.free_port()}
    sim = (
        *(sys.executable, "-m", "anlin.sim", "--home", str(home)),
        *("--mqtt", str(addresses.mqtt), "--rtsp", str(addresses.rtsp)),
        *(word for to, port in cables.items() for word in ("--cable", f"{port}:{to}")),
        *(("--once",) if once else ()),
    )
    return [
        *(_with_codes(program) for program in up.hub_programs(home, addresses)),
        Program(
            "sim",
            sim,
            {**up.hub_env(home, addresses), "ANLIN_STARTED_AT": str(started_at)},
            port=addresses.rtsp,
            talks=True,
            ends_all=once,
        ),
        up.edge_program(home, cables[addresses.hub], cables[addresses.live], code),
    ]


def _with_codes(program: Program) -> Program:
    """Let the web program write the residents' codes on this terminal: no gateway sends them."""
    if program.name != "web":
        return program
    return replace(program, env={**program.env, "ANLIN_SMS": "console"}, talks=True)


async def _prepare(home: Path, addresses: Addresses, console: Console) -> _Prepared:
    """Prepare the community in a process that ends, so that its memory is given back."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "anlin.sim.prepare", "community"),
        *("--home", str(home), "--rtsp", str(addresses.rtsp)),
        env={**os.environ, **up.hub_env(home, addresses)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None  # noqa: S101  it was asked for above
    assert process.stderr is not None  # noqa: S101
    said: list[str] = []
    try:
        with console.status("Preparing the community") as status:
            async for line in process.stderr:
                said.append(line.decode(errors="replace").rstrip())
                status.update(f"Preparing the community: {said[-1]}")
            answer = await process.stdout.read()
            await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
    if process.returncode:
        raise Failed("The community could not be prepared:\n" + "\n".join(said[-20:]))
    data = json.loads(answer)
    return _Prepared(data["code"], data["logins"], data["resident_phone"])
