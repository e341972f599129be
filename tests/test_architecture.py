from __future__ import annotations

import re
from pathlib import Path

import pytest
from importlinter.application.use_cases import read_user_options
from importlinter.cli import EXIT_STATUS_SUCCESS, lint_imports

ROOT = Path(__file__).parents[1]
LOCKS = sorted(ROOT.glob("requirements*.lock"))
PIN = re.compile(r"[A-Za-z0-9._-]+(\[[\w,-]+\])?==[\w.!+-]+( ; [^\\]+)? \\")
HASH = re.compile(r"    --hash=sha256:[0-9a-f]{64}( \\)?")


def test_nobody_imports_what_the_layers_forbid(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(ROOT)
    result = lint_imports(config_filename=str(ROOT / "pyproject.toml"), cache_dir=str(tmp_path))
    assert result == EXIT_STATUS_SUCCESS, capsys.readouterr().out


def test_the_layers_are_the_ones_agreed():
    options = read_user_options(str(ROOT / "pyproject.toml"))
    names = [contract["name"] for contract in options.contracts_options]
    assert {"layers", "pure", "django in the hub", "drivers know nothing of each other"} <= {*names}


def test_there_are_lock_files():
    assert [lock.name for lock in LOCKS] == ["requirements-dev.lock", "requirements.lock"]


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_a_lock_file_holds_pins_and_hashes_and_no_address(lock):
    lines = lock.read_text(encoding="utf-8").splitlines()
    # Whatever is neither pin nor hash nor comment (an index, a link, a URL) is named.
    rest = [line for line in lines if line.strip() and not line.lstrip().startswith("#")]
    assert [line for line in rest if not (PIN.fullmatch(line) or HASH.fullmatch(line))] == []
    assert [line for line in lines if "://" in line or "index-url" in line] == []
    assert sum(line.endswith("\\") and "==" in line for line in lines) > 20


@pytest.mark.parametrize("name", ["uv.lock", "pylock.toml"])
def test_no_lock_file_that_writes_addresses_is_committed(name):
    assert f"/{name}" in (ROOT / ".gitignore").read_text(encoding="utf-8").split()


def test_every_driver_stands_in_the_contract_of_independence():
    options = read_user_options(str(ROOT / "pyproject.toml"))
    (contract,) = [c for c in options.contracts_options if c["type"] == "independence"]
    files = {path.stem for path in (ROOT / "anlin/drivers").glob("*.py")} - {"base"}
    drivers = {name for name in files if not name.startswith("_")}
    assert set(contract["modules"]) == {f"anlin.drivers.{driver}" for driver in drivers}
