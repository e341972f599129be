from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import pytest
from typer.testing import CliRunner

from anlin.vision import models
from anlin.vision.cli import app
from anlin.vision.faces import load_faces
from anlin.vision.models import (
    Model,
    ModelMismatchError,
    ModelMissingError,
    Presence,
    PullError,
    manifest,
    pull,
    resolve,
    status,
)

CONTENT = bytes(range(256)) * 1000


class Mirror(BaseHTTPRequestHandler):
    """A mirror with one file, that can be told how to misbehave."""

    faults: ClassVar[list[str]] = []
    ranges: ClassVar[list[str | None]] = []

    def do_GET(self) -> None:
        fault = self.faults.pop(0) if self.faults else ""
        asked = self.headers.get("Range")
        self.ranges.append(asked)
        if self.path != "/models/net.onnx" or fault == "404":
            self.send_error(404)
            return
        content = b"x" * len(CONTENT) if fault == "other" else CONTENT
        content = content + b"more" if fault == "long" else content
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0
        start = 0 if fault == "no ranges" else start
        body = content[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if fault == "truncated" else body)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def mirror() -> Iterator[str]:
    Mirror.faults, Mirror.ranges = [], []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Mirror)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/models"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def net(monkeypatch, tmp_path) -> Model:
    """A manifest of one model whose file a mirror can have."""
    digest = hashlib.sha256(CONTENT).hexdigest()
    model = Model("net", "x", "net.onnx", len(CONTENT), digest, "MIT", "drawn", 2, True)
    monkeypatch.setattr(models, "manifest", lambda: {"net": model})
    monkeypatch.setenv("ANLIN_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("ANLIN_MODELS", raising=False)
    return model


def test_a_pulled_model_is_whole_and_leaves_nothing_else(net, mirror, tmp_path):
    seen = []
    (path,) = pull(["net"], mirror, lambda model, count: seen.append(count))
    assert path.read_bytes() == CONTENT
    assert [p.name for p in path.parent.iterdir()] == ["net.onnx"]
    assert seen == sorted(seen)
    assert seen[-1] == len(CONTENT)
    assert resolve("net") == path


def test_a_cut_download_goes_on_where_it_stopped(net, mirror):
    Mirror.faults = ["truncated"]
    with pytest.raises(PullError, match="net"):
        pull(["net"], mirror)
    with pytest.raises(ModelMissingError):
        resolve("net")
    (path,) = pull(["net"], mirror)
    assert path.read_bytes() == CONTENT
    assert Mirror.ranges == [None, f"bytes={len(CONTENT) // 2}-"]


def test_a_mirror_without_ranges_starts_again(net, mirror):
    Mirror.faults = ["truncated", "no ranges"]
    with pytest.raises(PullError):
        pull(["net"], mirror)
    (path,) = pull(["net"], mirror)
    assert path.read_bytes() == CONTENT


@pytest.mark.parametrize("fault", ["other", "long"])
def test_another_file_is_refused_and_thrown_away(net, mirror, fault, tmp_path):
    Mirror.faults = [fault]
    with pytest.raises(ModelMismatchError, match="net"):
        pull(["net"], mirror)
    assert list((tmp_path / "home" / "models").iterdir()) == []


def test_a_mirror_without_the_file_says_so(net, mirror):
    Mirror.faults = ["404"]
    with pytest.raises(PullError, match="404"):
        pull(["net"], mirror)


def test_no_mirror_at_all_says_so(net):
    with pytest.raises(PullError, match="ConnectError"):
        pull(["net"], "http://127.0.0.1:9/models")


def test_a_model_is_not_pulled_twice(net, mirror):
    pull(["net"], mirror)
    pull(["net"], mirror)
    assert len(Mirror.ranges) == 1


def test_models_are_copied_from_a_folder(net, tmp_path):
    (tmp_path / "net.onnx").write_bytes(CONTENT)
    (path,) = pull([], str(tmp_path))
    assert path.read_bytes() == CONTENT
    path.unlink()
    with pytest.raises(PullError, match="No such file"):
        pull([], str(tmp_path / "nowhere"))


def test_an_unknown_name_is_refused_with_the_known_ones(net):
    with pytest.raises(PullError, match=r"yolo: .* there are net"):
        pull(["yolo"], "http://127.0.0.1:9")


def test_a_changed_file_is_named_with_both_hashes(net, monkeypatch, tmp_path):
    (tmp_path / "net.onnx").write_bytes(b"tampered")
    monkeypatch.setenv("ANLIN_MODELS", str(tmp_path))
    got = hashlib.sha256(b"tampered").hexdigest()
    with pytest.raises(ModelMismatchError, match=rf"net\.onnx has sha256 {got}, .* {net.sha256}"):
        resolve("net")
    assert status()[0].presence is Presence.MISMATCH


def test_a_tampered_detector_leaves_tier_1_working(tier1, monkeypatch, tmp_path):
    (tmp_path / "yunet_n_dynamic.onnx").write_bytes(b"tampered")
    monkeypatch.setenv("ANLIN_MODELS", str(tmp_path))
    assert load_faces().tier == 1


def test_only_models_free_for_commercial_use_are_listed():
    assert {model.licence for model in manifest().values()} <= {
        "Apache-2.0",
        "MIT",
        "BSD-3-Clause",
        "CC0-1.0",
    }
    assert all("68" not in model.file for model in manifest().values())


def test_a_fresh_machine_has_everything_for_tier_1(tier1):
    present = {entry.model.name for entry in status() if entry.presence is Presence.PRESENT}
    assert present == {name for name, model in manifest().items() if model.tier == 1}


def test_the_command_lists_and_says_which_tier(tier1):
    result = CliRunner().invoke(app, ["list"], env={"COLUMNS": "200"})
    assert result.exit_code == 0
    assert "faces: tier 1" in result.output
    assert "missing" in result.output


def test_the_command_pulls_and_fails_by_name(net, mirror):
    runner = CliRunner()
    assert runner.invoke(app, ["pull", "--from", mirror]).exit_code == 0
    assert resolve("net").is_file()
    result = runner.invoke(app, ["pull", "--from", mirror, "yolo"], env={"COLUMNS": "200"})
    assert result.exit_code == 1
    assert "yolo" in result.output
