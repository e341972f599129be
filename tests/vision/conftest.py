from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

import pytest

from anlin.testing import shared_folder


def _package_file(package: str, name: str) -> bytes:
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        pytest.skip(f"package {package} with a portrait in the public domain is not installed")
    return (Path(spec.submodule_search_locations[0]) / name).read_bytes()


@pytest.fixture(scope="session")
def portrait() -> bytes:
    """A woman, facing us; in the public domain (NASA)."""
    return _package_file("skimage", "data/astronaut.png")


@pytest.fixture(scope="session")
def other_portrait() -> bytes:
    """Another woman; in the public domain (US Navy)."""
    return _package_file("matplotlib", "mpl-data/sample_data/grace_hopper.jpg")


@pytest.fixture
def tier1(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No folder of models: only what the packages carry."""
    monkeypatch.delenv("ANLIN_MODELS", raising=False)
    monkeypatch.setenv("ANLIN_HOME", str(tmp_path / "home"))


@pytest.fixture
def tier2(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder with the better models."""
    given = os.environ.get("ANLIN_MODELS")
    shared = shared_folder()
    folder = Path(given) if given else shared / "models" if shared else None
    if folder is None or not (folder / "yunet_n_dynamic.onnx").is_file():
        pytest.skip("no folder of models (ANLIN_MODELS)")
    monkeypatch.setenv("ANLIN_MODELS", str(folder.resolve()))
    monkeypatch.setenv("ANLIN_HOME", str(tmp_path / "home"))
    return folder


@pytest.fixture
def shared() -> Path:
    """The folder of labelled photographs."""
    folder = shared_folder()
    if folder is None or not (folder / "data").is_dir():
        pytest.skip("no folder of labelled photographs (ANLIN_SHARED)")
    return folder
