"""The build tools that the stack borrows from the machine: Java, Maven, Go."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from infra.local import versions
from infra.local.errors import LocalStackError

_KILL_AFTER_S = 5.0


async def run_tool(
    argv: Sequence[str], *, purpose: str, log: Path, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> None:
    """Run a tool to its end with its output in ``log``; raise with its last error line when it fails.

    It runs in a session of its own, which a cancellation ends as a whole.
    """
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=asyncio.subprocess.STDOUT,
            cwd=cwd,
            env={**os.environ, **(env or {})},
            start_new_session=True,
        )
        try:
            code = await process.wait()
        except asyncio.CancelledError:
            await _end_session(process)
            raise
    if code != 0:
        raise LocalStackError(_explain(purpose, code, log))


async def _end_session(process: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    with suppress(TimeoutError):
        async with asyncio.timeout(_KILL_AFTER_S):
            await process.wait()
    # Whatever outlived the leader.
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()


def _explain(purpose: str, code: int, log: Path) -> str:
    text = re.sub(r"\x1b\[[0-9;]*m", "", log.read_text(errors="replace"))
    if "no space left on device" in text.lower():
        return (
            f"The disk filled up while {purpose}. Make room, or set AGENTMEM_HOME to a directory on another disk."
        )
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if "ERROR" in line] or lines[-1:] or [f"exit code {code}"]
    return (
        f"It failed while {purpose}: {errors[0][:300]}. "
        f"Check the network (and the tool's mirror or proxy), then start again; all of its output is in {log}."
    )


async def _output(*argv: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *argv, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await process.communicate()
    return output.decode(errors="replace")


def find(program: str, hint: str) -> str:
    """The program's path, or an error that says what to install."""
    path = shutil.which(program)
    if path is None:
        raise LocalStackError(f"{program} is not installed or not on the PATH. {hint}")
    return path


async def java() -> str:
    """The path of a Java that can run Kafka."""
    hint = f"Install a JDK {versions.MINIMUM_JAVA} or newer (Debian: openjdk-17-jdk-headless)."
    path = find("java", hint)
    found = re.search(r'version "(\d+)', await _output(path, "-version"))
    if found is None or int(found[1]) < versions.MINIMUM_JAVA:
        raise LocalStackError(f"{path} is Java {found[1] if found else 'of an unknown version'}. {hint}")
    return path


def maven() -> str:
    """The path of Maven."""
    return find("mvn", "Install Maven 3.6.3 or newer (Debian: maven).")


async def go() -> str:
    """The path of a Go that can build Weaviate."""
    wanted = ".".join(map(str, versions.MINIMUM_GO))
    hint = f"Install Go {wanted} or newer (https://go.dev/dl) to build Weaviate."
    path = find("go", hint)
    found = re.search(r"go(\d+)\.(\d+)", await _output(path, "env", "GOVERSION"))
    if found is None or (int(found[1]), int(found[2])) < versions.MINIMUM_GO:
        raise LocalStackError(f"{path} is {found[0] if found else 'a Go of an unknown version'}. {hint}")
    return path
