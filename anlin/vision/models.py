"""Model files: what each is, where it lies, and that it is the one we measured.

Tier 1 comes inside the installed packages; tier 2 lies in a folder (ANLIN_MODELS) or is pulled
into the models folder under ANLIN_HOME. A file is hashed before it is loaded, and the bytes that
were hashed are the bytes that run.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import tomllib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnxruntime

# A mirror that sends nothing for this long is gone; a slow line still sends something.
HTTP_TIMEOUT_S = 20.0


class ModelError(Exception):
    """A model can't be used; the text names the file and the rule."""


class ModelMissingError(ModelError):
    """No folder and no package has the file."""


class ModelMismatchError(ModelError):
    """The file is not the one that was measured."""


class PullError(ModelError):
    """A mirror or folder did not give the file."""


class Presence(StrEnum):
    """Whether a model can be used."""

    PRESENT = "present"
    MISSING = "missing"
    MISMATCH = "hash mismatch"


@dataclass(frozen=True, slots=True)
class Model:
    """One entry of the manifest.

    Attributes:
        package: installed package that carries the file; empty for a file that is pulled.
        file: name in a models folder, or path inside the package.
        size_bytes: exact size; a download is cut off beyond it.
        source: repository, path and commit the file was made from.
        optional: not needed for its tier.
    """

    name: str
    task: str
    file: str
    size_bytes: int
    sha256: str
    licence: str
    source: str
    tier: int
    commercial_use: bool
    package: str = ""
    optional: bool = False


@dataclass(frozen=True, slots=True)
class ModelStatus:
    """One model as found on this machine; `path` is None where it is missing."""

    model: Model
    presence: Presence
    path: Path | None


@cache
def manifest() -> dict[str, Model]:
    """Return every model that may be shipped, by name."""
    text = resources.files("anlin.vision").joinpath("manifest.toml").read_text("utf-8")
    models = [Model(**entry) for entry in tomllib.loads(text)["model"]]
    for model in models:
        if not model.commercial_use:
            raise ModelError(f"model {model.name}: its licence does not allow commercial use")
    return {model.name: model for model in models}


def home_folder() -> Path:
    """Return the folder a pull writes to: models under ANLIN_HOME."""
    return Path(os.environ.get("ANLIN_HOME", "var")) / "models"


def folders() -> list[Path]:
    """Return the folders searched for model files, first match wins."""
    given = os.environ.get("ANLIN_MODELS")
    return [*([Path(given)] if given else []), home_folder()]


def find(model: Model) -> Path:
    """Return where a model's file lies, unverified.

    Raises:
        ModelMissingError: no folder and no package has it.
    """
    if model.package:
        spec = importlib.util.find_spec(model.package)
        places = [Path(root) for root in (spec.submodule_search_locations or [])] if spec else []
    else:
        places = folders()
    for place in places:
        path = place / model.file
        if path.is_file():
            return path
    looked = f"package {model.package}" if model.package else ", ".join(map(str, places))
    raise ModelMissingError(f"model {model.name}: {model.file} is not in {looked}")


def resolve(name: str) -> Path:
    """Return the path of a model whose hash is right.

    Raises:
        ModelMissingError: it is nowhere.
        ModelMismatchError: the first file found is another one.
    """
    model = manifest()[name]
    path = find(model)
    _require(model, path, _sha256(path))
    return path


def session(name: str) -> onnxruntime.InferenceSession:
    """Return an inference session on one thread for a verified model.

    Workers are one process per camera, so threads inside one would only fight with the others.

    Raises:
        ModelError: missing, another file, or not loadable.
    """
    import onnxruntime

    model = manifest()[name]
    path = find(model)
    content = path.read_bytes()
    _require(model, path, hashlib.sha256(content).hexdigest())
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # Denormals made one net ten times slower on some inputs.
    options.add_session_config_entry("session.set_denormal_as_zero", "1")
    # The arena keeps the largest activations for ever; without it a worker is smaller by a third.
    options.enable_cpu_mem_arena = False
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def status() -> list[ModelStatus]:
    """Return every manifest entry with what this machine has of it."""
    found = []
    for model in manifest().values():
        try:
            found.append(ModelStatus(model, Presence.PRESENT, resolve(model.name)))
        except ModelMismatchError:
            found.append(ModelStatus(model, Presence.MISMATCH, find(model)))
        except ModelMissingError:
            found.append(ModelStatus(model, Presence.MISSING, None))
    return found


Progress = Callable[[Model, int], None]


def pull(names: Iterable[str], source: str, progress: Progress | None = None) -> list[Path]:
    """Bring models into the models folder under ANLIN_HOME and return their paths.

    Args:
        names: manifest names; none for every model that is pulled.
        source: a mirror's http(s) address, or a folder, holding the files by their names.
        progress: called with the model and the bytes it has so far.

    Raises:
        PullError: unknown name, no such file at the source, or the line broke (the part that
            came is kept, the next pull goes on from there).
        ModelMismatchError: the whole file came and is another one; it is thrown away.
    """
    chosen = _chosen(list(names))
    target = home_folder()
    target.mkdir(parents=True, exist_ok=True)
    paths = []
    for model in chosen:
        path = target / model.file
        if not (path.is_file() and _sha256(path) == model.sha256):
            part = path.with_name(f".{path.name}.part")
            if source.startswith(("http://", "https://")):
                _download(model, f"{source.rstrip('/')}/{model.file}", part, progress)
            else:
                _copy(model, Path(source) / model.file, part)
            try:
                _require(model, part, _sha256(part))
            except ModelMismatchError:
                part.unlink()
                raise
            part.replace(path)
        if progress:
            progress(model, model.size_bytes)
        paths.append(path)
    return paths


def _chosen(names: Sequence[str]) -> list[Model]:
    pulled = {name: model for name, model in manifest().items() if not model.package}
    for name in names:
        if name not in pulled:
            known = ", ".join(pulled)
            raise PullError(f"model {name}: nothing to pull by this name; there are {known}")
    return [pulled[name] for name in (names or pulled)]


def _copy(model: Model, origin: Path, part: Path) -> None:
    try:
        shutil.copyfile(origin, part)
    except OSError as error:
        raise PullError(f"model {model.name}: {origin}: {error.strerror}") from error


def _download(model: Model, address: str, part: Path, progress: Progress | None) -> None:
    import httpx

    have = part.stat().st_size if part.exists() else 0
    if have >= model.size_bytes:
        part.unlink()
        have = 0
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    try:
        with httpx.stream(
            "GET", address, headers=headers, timeout=HTTP_TIMEOUT_S, follow_redirects=True
        ) as reply:
            if reply.status_code not in (200, 206):
                raise PullError(f"model {model.name}: the mirror answered {reply.status_code}")
            if reply.status_code == 200:
                have = 0
            with part.open("ab" if have else "wb") as file:
                for chunk in reply.iter_raw():
                    have += len(chunk)
                    if have > model.size_bytes:
                        break  # the hash will say so; no mirror fills the disk
                    file.write(chunk)
                    if progress:
                        progress(model, have)
    except httpx.HTTPError as error:
        raise PullError(f"model {model.name}: {type(error).__name__} at the mirror") from error
    if have < model.size_bytes:
        raise PullError(f"model {model.name}: {have} of {model.size_bytes} bytes came; pull again")
    if have > model.size_bytes:
        part.unlink()
        raise ModelMismatchError(
            f"model {model.name}: the mirror sends more than the {model.size_bytes} bytes it has"
        )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _require(model: Model, path: Path, got: str) -> None:
    if got != model.sha256:
        raise ModelMismatchError(
            f"model {model.name}: {path} has sha256 {got}, expected {model.sha256}"
        )
