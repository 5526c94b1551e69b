"""The stores that the tests run against: one set for each session, shared by all of its processes.

``AGENTMEM_TEST_STACK`` names a file of addresses, as a running stack writes it, to use those stores instead.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from infra.local.progress import Progress
from infra.local.settings import LocalSettings
from infra.local.stores import LocalStack

VARIABLE = "AGENTMEM_TEST_STACK"
_SHARED = "tests-"


def read_addresses(path: Path) -> dict[str, str]:
    """The variables in a file of ``NAME=value`` lines."""
    lines = (line.strip() for line in path.read_text().splitlines())
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


@contextmanager
def stores() -> Iterator[Mapping[str, str]]:
    """The addresses of running stores; those started here are stopped at the end and leave nothing."""
    given = os.environ.get(VARIABLE)
    if given:
        yield read_addresses(Path(given))
        return
    with own_stack(_SHARED) as (_, addresses):
        yield addresses


@contextmanager
def own_stack(kind: str) -> Iterator[tuple[LocalStack, Mapping[str, str]]]:
    """Running stores that are called ``kind`` and this process's id, and their addresses; they leave nothing."""
    settings = LocalSettings(name=f"{kind}{os.getpid()}")
    _remove_remains(settings.home / "stacks", kind)
    # Tied to this process: a session that is killed takes its stores along.
    stack = LocalStack(settings, Path.cwd(), Progress(Console(file=sys.__stderr__)), tied=True)
    try:
        yield stack, asyncio.run(stack.start_stores())
    finally:
        asyncio.run(stack.stop())
        shutil.rmtree(stack.directory)


@contextmanager
def shared_stores() -> Iterator[None]:
    """As :func:`stores`, for the processes that are started meanwhile."""
    with stores() as addresses:
        if VARIABLE in os.environ:
            yield
            return
        path = Path(os.environ.get("TMPDIR", "/tmp")) / f"agentmem-{_SHARED}{os.getpid()}.env"
        path.write_text("".join(f"{name}={value}\n" for name, value in addresses.items()))
        os.environ[VARIABLE] = str(path)
        try:
            yield
        finally:
            del os.environ[VARIABLE]
            path.unlink()


def _remove_remains(stacks: Path, kind: str) -> None:
    for directory in stacks.glob(f"{kind}*"):
        pid = directory.name.removeprefix(kind)
        if pid.isdigit() and not Path(f"/proc/{pid}").exists():
            shutil.rmtree(directory)
