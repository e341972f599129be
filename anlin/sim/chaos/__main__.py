"""One command, unattended: break everything, compare, write the report; 0 where all of it holds."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import platform
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console

from anlin import __version__, up
from anlin.core.codec import to_data
from anlin.sim.chaos import clocks, report
from anlin.sim.chaos.day import RESULT
from anlin.up import Addresses, Program

DISK_MB = 128
"""Of the edge's own disk: its journal of ten minutes, its ballast and its policy fit well."""


def main() -> None:
    """Run the parts that are asked for, one after the other."""
    parser = argparse.ArgumentParser(prog="python -m anlin.sim.chaos", description=__doc__)
    parser.add_argument("--seconds", type=int, default=600, help="of faults (0: no day)")
    parser.add_argument("--week-events", type=int, default=1_000_000, help="0: no week")
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--report", type=Path, default=None, help="write a page there")
    parser.add_argument("--home", type=Path, default=None, help="keep the state there")
    given = parser.parse_args()
    seed = given.seed if given.seed is not None else secrets.randbelow(1_000_000)
    console = Console()
    console.print(f"seed [bold]{seed}[/]", highlight=False)
    home = (given.home or Path(tempfile.mkdtemp(prefix="anlin-chaos-"))).resolve()
    day = _day(home / "day", given.seconds, seed, console) if given.seconds else None
    (home / "clocks").mkdir(parents=True, exist_ok=True)
    proven = [to_data(item) for item in asyncio.run(clocks.prove(home / "clocks", seed))]
    week = _week(home / "week", given.week_events) if given.week_events else None
    wanted = [day] * bool(given.seconds) + [week] * bool(given.week_events)
    checks = [*proven, *(item for part in wanted if part is not None for item in part["checks"])]
    is_ok = None not in wanted and all(item["is_ok"] for item in checks)
    if given.report is not None:
        given.report.parent.mkdir(parents=True, exist_ok=True)
        given.report.write_text(
            report.write(
                command=f"python -m anlin.sim.chaos --seconds {given.seconds}"
                f" --week-events {given.week_events} --seed {seed}",
                seed=seed,
                seconds=given.seconds,
                week_events=given.week_events,
                machine=f"{os.cpu_count()} cores, Python {platform.python_version()}",
                version=__version__,
                day=day,
                clocks=proven,
                week=week,
            )
        )
    for item in checks:
        if not item["is_ok"]:
            console.print(f"[red]✗[/] {item['name']}: ", end="")
            console.print(item["detail"], markup=False, highlight=False)
    console.print(
        "[green]All of it holds.[/]" if is_ok else f"[red]It does not hold[/]; see {home}"
    )
    if is_ok and given.home is None:
        shutil.rmtree(home)
    sys.exit(0 if is_ok else 1)


def _day(home: Path, seconds: int, seed: int, console: Console) -> dict[str, Any] | None:
    home.mkdir(parents=True, exist_ok=True)
    hub, live, mqtt, rtsp = (up.free_port() for _ in range(4))
    addresses = up.free_addresses(Addresses(hub, live, mqtt, rtsp))
    with up.locked(home, addresses), _own_disk(home / up.NODE_FOLDER) as has_own_disk:
        up.prepare_broker(home, addresses.mqtt)
        code = _prepare(home, addresses)
        programs = _programs(home, addresses, code, seconds, seed, has_own_disk)
        asyncio.run(up.supervise(home, programs, console, "Everything runs; now it breaks"))
        with contextlib.suppress(FileNotFoundError):
            return dict(json.loads((home / RESULT).read_text()))
    return None


def _week(home: Path, events: int) -> dict[str, Any] | None:
    """Live the week in a process of its own, which gives its memory back."""
    home.mkdir(parents=True, exist_ok=True)
    week = (sys.executable, "-m", "anlin.sim.chaos.week", "--home", str(home))
    subprocess.run((*week, "--events", str(events)), check=False)  # noqa: S603  our own module
    with contextlib.suppress(FileNotFoundError):
        return dict(json.loads((home / "week.json").read_text()))
    return None


def _programs(
    home: Path, addresses: Addresses, code: str, seconds: int, seed: int, has_own_disk: bool
) -> list[Program]:
    cables = {addresses.hub: up.free_port(), addresses.live: up.free_port()}
    day = (
        *(sys.executable, "-m", "anlin.sim.chaos.day", "--home", str(home)),
        *("--mqtt", str(addresses.mqtt), "--rtsp", str(addresses.rtsp)),
        *(word for to, port in cables.items() for word in ("--cable", f"{port}:{to}")),
        *("--seconds", str(seconds), "--seed", str(seed)),
        *(("--own-disk",) if has_own_disk else ()),
    )
    env = up.hub_env(home, addresses)
    return [
        *up.hub_programs(home, addresses),
        Program("chaos", day, env, talks=True, ends_all=True),
        up.edge_program(home, cables[addresses.hub], cables[addresses.live], code),
    ]


def _prepare(home: Path, addresses: Addresses) -> str:
    """Found the community; give the code of its edge."""
    done = subprocess.run(  # noqa: S603  our own module
        (
            *(sys.executable, "-m", "anlin.sim.prepare", "community"),
            *("--home", str(home), "--rtsp", str(addresses.rtsp)),
        ),
        env={**os.environ, **up.hub_env(home, addresses)},
        stdout=subprocess.PIPE,
        check=True,
    )
    return str(json.loads(done.stdout)["code"])


@contextlib.contextmanager
def _own_disk(folder: Path) -> Iterator[bool]:
    """Mount a small disk at a folder where this user may; its files stay in the folder after it."""
    folder.mkdir(parents=True, exist_ok=True)
    options = ("-t", "tmpfs", "-o", f"size={DISK_MB}m,mode=700", "tmpfs", str(folder))
    mount = shutil.which("mount")
    has_disk = (
        mount is not None
        and subprocess.run((mount, *options), capture_output=True, check=False).returncode == 0  # noqa: S603
    )
    try:
        yield has_disk
    finally:
        if has_disk:
            kept = folder.with_name(f"{folder.name}.kept")
            shutil.copytree(folder, kept, dirs_exist_ok=True)
            subprocess.run((shutil.which("umount") or "umount", str(folder)), check=True)  # noqa: S603


if __name__ == "__main__":
    main()
