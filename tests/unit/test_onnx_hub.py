"""Models from the hub, here a small one on loopback that speaks the hub's protocol."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from infra.onnx import EmbeddingSettings, load_embedder
from schemas.problems import MisconfiguredError
from tests.unit.tiny_model import make_model

MODEL = "acme/tiny"
REVISION = "0123456789abcdef0123456789abcdef01234567"
_LOAD = f"""
import sys
from pathlib import Path
from infra.onnx import EmbeddingSettings, load_embedder
from schemas.problems import MisconfiguredError
settings = EmbeddingSettings(model="{MODEL}", revision=sys.argv[1], cache_dir=Path(sys.argv[2]))
try:
    print(load_embedder(settings).identity)
except MisconfiguredError as error:
    print("refused:", error)
"""


@dataclass
class Hub:
    """A hub with one model at one revision."""

    directory: Path
    requested: list[str] = field(default_factory=list)
    server: ThreadingHTTPServer = field(init=False)

    def __post_init__(self) -> None:
        hub = self

        class Handler(BaseHTTPRequestHandler):
            def do_HEAD(self) -> None:
                self._answer(body=False)

            def do_GET(self) -> None:
                self._answer(body=True)

            def _answer(self, *, body: bool) -> None:
                content = hub.content(self.path)
                self.send_response(404 if content is None else 200)
                if content is None:
                    self.send_header("X-Error-Code", "RevisionNotFound")
                    content = b""
                self.send_header("X-Repo-Commit", REVISION)
                self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                if body:
                    self.wfile.write(content)

            def log_message(self, format: str, *args: object) -> None:
                """Keep the test's output clean."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        Thread(target=self.server.serve_forever, daemon=True).start()

    def content(self, path: str) -> bytes | None:
        files = [file for file in self.directory.rglob("*") if file.is_file()]
        names = {file.relative_to(self.directory).as_posix(): file for file in files}
        if path.startswith(f"/api/models/{MODEL}/revision/{REVISION}"):
            siblings = [{"rfilename": name} for name in names]
            return json.dumps({"id": MODEL, "sha": REVISION, "siblings": siblings}).encode()
        name = path.removeprefix(f"/{MODEL}/resolve/{REVISION}/")
        if name not in names:
            return None
        self.requested.append(name)
        return names[name].read_bytes()

    def load(self, revision: str, cache: Path) -> str:
        """What a fresh process says that loads the model: the address of the hub is read at import."""
        environment = {
            **os.environ,
            "HF_ENDPOINT": f"http://127.0.0.1:{self.server.server_port}",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        }
        command = (sys.executable, "-c", _LOAD, revision, str(cache))
        done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    directory = make_model(tmp_path / "published")
    (directory / "pytorch_model.bin").write_bytes(b"weights that ONNX Runtime does not need")
    hub = Hub(directory)
    yield hub
    hub.server.shutdown()
    hub.server.server_close()


def test_a_pinned_model_is_downloaded_once_and_then_needs_no_hub(hub: Hub, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    assert hub.load(REVISION, cache).strip() == f"{MODEL} at {REVISION} (fp32, 16 dimensions)"
    assert "onnx/model.onnx" in hub.requested
    assert "pytorch_model.bin" not in hub.requested
    hub.server.shutdown()
    hub.server.server_close()
    assert MODEL in hub.load(REVISION, cache)
    assert hub.load(REVISION, tmp_path / "empty").startswith(f"refused: cannot get {MODEL} at {REVISION}")


def test_a_revision_that_is_not_there(hub: Hub, tmp_path: Path) -> None:
    unknown = "f" * 40
    assert hub.load(unknown, tmp_path / "cache").startswith(f"refused: cannot get {MODEL} at {unknown}")


@pytest.mark.parametrize("revision", [None, "main", "v1.0", REVISION[:12]])
def test_a_hub_model_needs_a_full_commit_hash(revision: str | None) -> None:
    with pytest.raises(MisconfiguredError, match=r"needs embedding\.revision: the full commit hash"):
        load_embedder(EmbeddingSettings(model=MODEL, revision=revision))


def test_another_model_does_not_inherit_the_default_revision() -> None:
    assert EmbeddingSettings().revision is not None
    assert EmbeddingSettings(model=MODEL).revision is None


def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(MisconfiguredError, match="there is no directory"):
        load_embedder(EmbeddingSettings(model=str(tmp_path / "none")))
