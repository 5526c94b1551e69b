"""A command of ours as a process of its own."""

from __future__ import annotations

import asyncio
import os
import re
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO, Final

from aiohttp import ClientError, ClientSession

_READY_POLL_S: Final = 0.05
_LOG_END_BYTES: Final = 4_000
_KIB_IN_MB: Final = 1024 / 1_000_000
_PEAK: Final = re.compile(r"^VmHWM:\s+(\d+) kB$", re.MULTILINE)


class ProcessEndedError(Exception):
    """The process ended by itself; the message holds the end of its log."""


@asynccontextmanager
async def process(command: str, environment: Mapping[str, str], port: int) -> AsyncIterator[Process]:
    """``agentmem <command>``, which serves its health on ``port``, until the end of the body."""
    with tempfile.TemporaryFile() as log:
        started = time.monotonic()
        child = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "agentmem", command), env=environment, stdout=log, stderr=log
        )
        running = Process(command, child, log, f"http://127.0.0.1:{port}")
        ready = asyncio.create_task(running.ready())
        ready.add_done_callback(lambda _: setattr(running, "start_s", time.monotonic() - started))
        try:
            yield running
        finally:
            ready.cancel()
            if child.returncode is None:
                child.terminate()
                await child.wait()


class Process:
    """A running command and its health port."""

    def __init__(self, command: str, child: asyncio.subprocess.Process, log: IO[bytes], url: str) -> None:
        self.url = url
        self._command = command
        self._child = child
        self._log = log
