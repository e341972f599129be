"""Run every target, or those named, each in a process of its own, and write what came of it."""

from __future__ import annotations

import argparse
import importlib.util
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from fuzz.targets import MAX_CPU_S, TARGETS, Target

MAX_RSS_MB = 1024
HUNG_S = 10
GRACE_S = 60
"""For importing everything instrumented, and for the seeds."""

_STATS = re.compile(r"#(\d+)\s+(?:DONE|INITED|NEW|REDUCE|pulse).*?cov: (\d+) ft: (\d+)")
_EXECUTED = re.compile(r"stat::number_of_executed_units:\s*(\d+)")
_PEAK = re.compile(r"stat::peak_rss_mb:\s*(\d+)")
_ARTIFACT = re.compile(r"Test unit written to (\S+)")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one target."""

    target: Target
    seconds: float
    executions: int
    edges: int
    peak_mb: int
    finding: str = ""
    data: bytes = b""


def main() -> None:
    """Fuzz; exit code 1 where something was found."""
    parser = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(TARGETS))
    parser.add_argument("--seconds", type=int, default=30, help="for each target")
    parser.add_argument("--report", type=Path, default=None)
    parser.add_argument("--corpus", type=Path, default=Path("var/fuzz"), help="kept between runs")
    given = parser.parse_args()
    unknown = set(given.targets) - set(TARGETS)
    if unknown:
        parser.error(f"no target is called {min(unknown)}; there are {', '.join(TARGETS)}")
    if importlib.util.find_spec("atheris") is None:
        sys.exit("atheris is missing: install the `fuzz` extra (Linux, CPython)")
    outcomes = []
    for name in given.targets or TARGETS:
        outcome = run(TARGETS[name], given.seconds, given.corpus / name)
        outcomes.append(outcome)
        told = f"{outcome.executions} executions, {outcome.edges} edges, {outcome.peak_mb} MB"
        print(f"{name}: {told} {outcome.finding or 'nothing found'}", flush=True)
        if outcome.finding:
            print(f"  input: {outcome.data[:400]!r}", flush=True)
    if given.report is not None:
        given.report.parent.mkdir(parents=True, exist_ok=True)
        given.report.write_text(report(outcomes, given.seconds))
    sys.exit(1 if any(outcome.finding for outcome in outcomes) else 0)


def run(target: Target, seconds: int, corpus: Path) -> Outcome:
    """Fuzz one target; what it learns is kept in `corpus` for the next run."""
    corpus.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="anlin-fuzz-") as folder:
        seeds = Path(folder) / "seeds"
        seeds.mkdir()
        for number, seed in enumerate(target.seeds()):
            (seeds / f"{number:03}").write_bytes(seed)
        command = (
            *(sys.executable, "-m", "fuzz.one", target.name),
            f"-max_total_time={seconds}",
            f"-timeout={HUNG_S}",
            f"-rss_limit_mb={MAX_RSS_MB}",
            f"-max_len={target.max_bytes}",
            "-print_final_stats=1",
            f"-artifact_prefix={folder}/",
            *(str(corpus), str(seeds)),
        )
        began = time.monotonic()
        try:
            done = subprocess.run(
                command,
                env={**os.environ, "TMPDIR": folder, "PYTHONHASHSEED": "0"},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=seconds + HUNG_S + GRACE_S,
                check=False,
            )
            said, code = done.stdout.decode(errors="replace"), done.returncode
        except subprocess.TimeoutExpired as error:
            said, code = (error.stdout or b"").decode(errors="replace"), -1
        took = time.monotonic() - began
        artifact = _ARTIFACT.search(said)
        data = Path(artifact[1]).read_bytes() if artifact else b""
    stats = _STATS.findall(said)
    executed, peak = _EXECUTED.search(said), _PEAK.search(said)
    count = int(executed[1]) if executed else int(stats[-1][0]) if stats else 0
    finding = "" if code == 0 else _finding(said, code)
    edges = max((int(edges) for _, edges, _ in stats), default=0)
    return Outcome(target, took, count, edges, int(peak[1]) if peak else 0, finding, data)


def _finding(said: str, code: int) -> str:
    """Say in one line what broke: the exception and the last place of ours."""
    if code == -1:
        return "did not end"
    raised = re.findall(r"^([A-Za-z_.]+(?:Error|Exception|Slow)\b.*)$", said, re.MULTILINE)
    places = re.findall(r'File "[^"]*?/((?:anlin|fuzz)/[^"]+)", line (\d+)', said)
    summary = re.findall(r"SUMMARY: .*|ERROR: libFuzzer: .*", said)
    what = raised[-1] if raised else summary[-1] if summary else said.strip()[-300:]
    where = f" at {places[-1][0]}:{places[-1][1]}" if places else ""
    return f"{what[:200]}{where}"


def report(outcomes: list[Outcome], seconds: int) -> str:
    """Write the page."""
    rows = [
        f"| `{o.target.name}` | {o.target.about} | {o.executions} | {o.edges} | {o.peak_mb} "
        f"| {o.finding or 'none'} |"
        for o in outcomes
    ]
    total = sum(outcome.executions for outcome in outcomes)
    found = sum(bool(outcome.finding) for outcome in outcomes)
    return f"""# Proof by fuzzing

    make fuzz SECONDS={seconds}

atheris (libFuzzer guided by coverage of our code, of amqtt's and of uhppoted's), {seconds} s for
each target on {os.cpu_count()} cores, Python {platform.python_version()}. {total} executions,
{found} findings. Written by the run itself.

A target holds where it returns or refuses by the error it declares. A finding is any other
exception, a broken property (what was let through can be written down; a pass nobody issued is
refused; who is heard on a line does not depend on how its bytes are cut), a call of more than
{MAX_CPU_S} s of processor time twice, one that hangs for {HUNG_S} s, or more than {MAX_RSS_MB} MB.

| target | what | executions | edges | peak MB | findings |
|---|---|---|---|---|---|
{chr(10).join(rows)}

What it learns is kept in `var/fuzz` and used by the next run. Every input that once broke a
target stands as a literal in `tests/fuzz/test_fuzz_targets.py`, where the ordinary tests replay it.

## What this does not cover

- Code in C: libosdp's reading of OSDP packets, OpenCV's and FFmpeg's of pictures and streams.
- pymodbus, h11 and uvicorn, which read bytes before our code does.
- The hub's pages and its API; their tests try every page as everybody.
- Sequences over time, such as a peer that sends a byte a minute; the links' own tests do that.
"""


if __name__ == "__main__":
    main()
