"""A disk that can be filled up: a small file system in memory, in the place of a directory."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_MIB = 1024 * 1024


class SmallDisk:
    """``directory`` lies on it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._filler = directory / "filler"

    def fill(self, but_mib: int) -> None:
        """Take all room but this much."""
        self._filler.touch()
        size = shutil.disk_usage(self.directory).free - but_mib * _MIB
        with self._filler.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, size)

    def is_full(self) -> bool:
        return shutil.disk_usage(self.directory).free < _MIB // 4

    def make_room(self) -> None:
        self._filler.unlink(missing_ok=True)


@contextmanager
def small_disk(directory: Path, mib: int) -> Iterator[SmallDisk]:
    """Move a directory that nobody uses to a disk of this size, and what is there in the end back.

    Skips the test on a machine where none can be mounted.
    """
    whole = directory.with_suffix(".whole")
    directory.rename(whole)
    directory.mkdir(mode=0o700)
    options = f"size={mib}m,mode=700"
    mounted = subprocess.run(("mount", "-t", "tmpfs", "-o", options, "tmpfs", directory), check=False)
    if mounted.returncode:
        directory.rmdir()
        whole.rename(directory)
        pytest.skip("needs root: no small disk can be mounted here")
    try:
        shutil.copytree(whole, directory, dirs_exist_ok=True, symlinks=True)
        disk = SmallDisk(directory)
        yield disk
        disk.make_room()
        shutil.rmtree(whole)
        shutil.copytree(directory, whole, symlinks=True)
    finally:
        subprocess.run(("umount", "--lazy", directory), check=True)
        directory.rmdir()
        whole.rename(directory)
