"""Small things with files: locks between processes, secrets, free space."""

from __future__ import annotations

import asyncio
import fcntl
import os
import secrets
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from infra.local.errors import LocalStackError

_LOCK_POLL_S = 0.2
_MIB = 1024 * 1024


def try_lock(path: Path) -> int | None:
    """Take the lock file, or return None when another process holds it. Closing the descriptor releases it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


@asynccontextmanager
async def file_lock(path: Path) -> AsyncIterator[None]:
    """Hold the lock file, waiting for as long as another process holds it. The kernel frees a dead holder's."""
    # Polled, as a thread blocked in flock could not be cancelled by Ctrl-C.
    while (descriptor := try_lock(path)) is None:  # noqa: ASYNC110
        await asyncio.sleep(_LOCK_POLL_S)
    try:
        yield
    finally:
        os.close(descriptor)


def is_there(path: Path) -> bool:
    """Whether the path exists; for coroutines, where a look at the local disk is short enough."""
    return path.exists()


def find(directory: Path, pattern: str) -> list[Path]:
    """The paths that match; for coroutines, as :func:`is_there`."""
    return sorted(directory.glob(pattern))


def write_private(path: Path, text: str) -> None:
    """Replace the file in one step; only the user can read it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    partial.replace(path)


def stable_secret(path: Path) -> str:
    """The secret kept in this file, made at the first call."""
    if not path.exists():
        write_private(path, secrets.token_hex(16))
    return path.read_text()


def require_space(directory: Path, mebibytes: int, purpose: str) -> None:
    """Raise unless the file system of ``directory`` has that much room."""
    free = shutil.disk_usage(directory).free // _MIB
    if free < mebibytes:
        raise LocalStackError(
            f"The disk is too full: {purpose} needs {mebibytes} MB in {directory}, {free} MB are free. "
            "Make room, or set AGENTMEM_HOME to a directory on another disk."
        )
