"""The code of an earlier version, from the repository's history."""

from __future__ import annotations

import io
import subprocess
import tarfile
from pathlib import Path
from typing import Final

import pytest

import infra.postgres.migrations.versions

_MIGRATIONS: Final = Path(infra.postgres.migrations.versions.__path__[0])


def before_the_newest_migration(folder: Path) -> Path:
    """Unpack the code that the newest migration was made upon into a folder that is not there yet.

    Skips the test where the history does not reach back to it.
    """
    newest = max(_MIGRATIONS.glob("[0-9]*.py"))
    parents = _git("log", "-1", "--diff-filter=A", "--format=%P", "--", newest.name).decode().split()
    if not parents:
        pytest.skip(f"needs the repository's history, which does not reach back beyond {newest.name} here")
    root = _git("rev-parse", "--show-toplevel").decode().strip()
    archive = _git("-C", root, "archive", "--format=tar", parents[0])
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        files.extractall(folder, filter="data")
    return folder


def _git(*arguments: str) -> bytes:
    try:
        done = subprocess.run(("git", *arguments), cwd=_MIGRATIONS, check=False, capture_output=True)
    except FileNotFoundError:
        pytest.skip("needs git, for the repository's history")
    if done.returncode:
        pytest.skip(f"needs the repository's history: {done.stderr.decode().strip()}")
    return done.stdout
