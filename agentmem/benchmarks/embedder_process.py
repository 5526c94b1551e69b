"""An embedder in a process of its own, so that its start and its memory can be told from those of others."""

from __future__ import annotations

import multiprocessing
import re
import signal
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from schemas.problems import MisconfiguredError

if TYPE_CHECKING:
    from infra.onnx import EmbeddingSettings
    from infra.onnx.pooling import Floats

_PEAK: Final = re.compile(r"VmHWM:\s+(\d+) kB")


@dataclass(frozen=True, slots=True)
class Run:
    """One run over all texts. ``peak_mb`` is the process's peak memory so far, in MiB."""

    vectors: Floats
    wall_s: float
    cpu_s: float
    peak_mb: float


class EmbedderProcess:
    """A context manager: the process runs within. Raises ``MisconfiguredError`` if the model does not load.

    ``load_s`` is how long it took from the imports until the model was ready.
    """

    def __init__(self, settings: EmbeddingSettings) -> None:
        spawning = multiprocessing.get_context("spawn")
        self._connection, theirs = spawning.Pipe()
        self._process = spawning.Process(target=_serve, args=(theirs, settings), daemon=True)
        self._process.start()
        theirs.close()
        self.load_s = 0.0

    def __enter__(self) -> Self:
        try:
            self.load_s = self._receive()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def run(self, texts: list[str]) -> Run:
        """Embed the texts once."""
        return Run(*self._receive(after_sending=texts))

    def _receive(self, after_sending: list[str] | None = None) -> Any:
        try:
            if after_sending is not None:
                self._connection.send(after_sending)
            answer = self._connection.recv()
        except (EOFError, ConnectionError):
            self._process.join()
            raise MisconfiguredError(
                f"the embedder's process ended with exit code {self._process.exitcode}"
            ) from None
        if isinstance(answer, MisconfiguredError):
            raise answer
        return answer

    def _end(self) -> None:
        self._connection.close()  # which ends the process's loop
        self._process.join()


def _serve(connection: Connection, settings: EmbeddingSettings) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer, which then hangs up
    began = time.perf_counter()
    try:
        from infra.onnx import load_embedder

        embedder = load_embedder(settings)
    except MisconfiguredError as error:
        connection.send(MisconfiguredError(str(error)))
        return
    connection.send(time.perf_counter() - began)
    while True:
        try:
            texts = connection.recv()
        except EOFError:
            return
        wall, cpu = time.perf_counter(), time.process_time()
        vectors = embedder.embed(texts).vectors
        took = time.perf_counter() - wall, time.process_time() - cpu
        connection.send((vectors, *took, _peak_mb()))


def _peak_mb() -> float:
    peak = _PEAK.search(Path("/proc/self/status").read_text())
    assert peak is not None
    return int(peak[1]) / 1024
