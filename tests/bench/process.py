"""A command of ours as a process of its own."""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import IO, Final

from aiohttp import ClientError, ClientSession

from tests.harness.memory import peak_mb

_READY_POLL_S: Final = 0.05
_READY_WITHIN_S: Final = 120.0
_LOG_END_BYTES: Final = 4_000


class ProcessEndedError(Exception):
    """The process ended by itself; the message holds the end of its log."""


@asynccontextmanager
async def process(command: str, environment: Mapping[str, str], port: int) -> AsyncIterator[Process]:
    """``agentmem <command>``, which must serve its health on ``port``, until the end of the body."""
    with tempfile.TemporaryFile() as log:
        child = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "agentmem", command), env=environment, stdout=log, stderr=log
        )
        running = Process(command, child, log, f"http://127.0.0.1:{port}")
        try:
            yield running
        finally:
            running.starting.cancel()
            if child.returncode is None:
                child.terminate()
                await child.wait()


class Process:
    """A running command. ``starting`` ends with the seconds from its start until it was ready."""

    def __init__(self, command: str, child: asyncio.subprocess.Process, log: IO[bytes], url: str) -> None:
        self.url = url
        self._command = command
        self._child = child
        self._log = log
        self.starting = asyncio.create_task(self._ready(time.monotonic()))

    def peak_mb(self) -> float:
        """The most memory that it had at one time, in MB."""
        return peak_mb(self._child.pid)

    def check(self) -> None:
        """Raise ``ProcessEndedError`` if it ended."""
        if self._child.returncode is not None:
            self._log.seek(max(0, self._log.seek(0, os.SEEK_END) - _LOG_END_BYTES))
            end = self._log.read().decode(errors="replace")
            raise ProcessEndedError(
                f"agentmem {self._command} ended with exit code {self._child.returncode}:\n{end}"
            )

    async def _ready(self, started: float) -> float:
        async with ClientSession() as session, asyncio.timeout(_READY_WITHIN_S):
            while True:
                self.check()
                try:
                    async with session.get(f"{self.url}/health/ready") as response:
                        if response.status == 200:
                            return time.monotonic() - started
                except ClientError:
                    pass  # not listening yet
                await asyncio.sleep(_READY_POLL_S)
