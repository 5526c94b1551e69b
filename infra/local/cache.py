"""Parts that are downloaded or built once for all stacks of a user."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path

from infra.local.errors import LocalStackError
from infra.local.files import file_lock, require_space
from infra.local.progress import Progress


class PartCache:
    """The directory of finished parts. A part is there whole or not at all."""

    def __init__(self, home: Path, progress: Progress) -> None:
        self.directory = home / "parts"
        self.progress = progress

    async def part(self, name: str, what: str, mebibytes: int, build: Callable[[Path], Awaitable[None]]) -> Path:
        """The directory of part ``name``; when it is missing, ``build`` fills an empty directory with it.

        One process builds, others wait for it. ``mebibytes`` is the free space that the build needs.
        """
        target = self.directory / name
        if target.exists():
            return target
        async with file_lock(self.directory / f"{name}.lock"):
            if target.exists():
                return target
            require_space(self.directory, mebibytes, what[0].lower() + what[1:])
            partial = self.directory / f".{name}.partial"
            # Left by a process that was killed: the lock is ours now.
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir()
            try:
                async with self.progress.step(f"{what} (once)"):
                    await build(partial)
                partial.rename(target)
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
                raise LocalStackError(
                    f"The disk filled up: {what}. Make room, or set AGENTMEM_HOME to a directory on another disk."
                ) from error
            finally:
                shutil.rmtree(partial, ignore_errors=True)
        return target

    def log_path(self, name: str) -> Path:
        """Where the tool that makes part ``name`` writes; it outlives a failed build."""
        return self.directory / f"{name}.log"
