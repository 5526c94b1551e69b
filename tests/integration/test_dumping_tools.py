"""Which pg_dump a backup takes."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.local.postgres import binaries
from infra.postgres import PostgresSettings
from infra.postgres.dumping import Tools
from schemas.problems import MisconfiguredError


@pytest.fixture
def on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is all of PATH, and empty."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def test_that_of_path_comes_first(postgres_settings: PostgresSettings, on_path: Path) -> None:
    """That of the local stack's package speaks no TLS."""
    packaged = binaries()
    assert Tools(postgres_settings, [packaged])._folder == packaged
    for program in ("pg_dump", "pg_restore"):
        (on_path / program).symlink_to(packaged / program)
    assert Tools(postgres_settings, [packaged])._folder == on_path


@pytest.mark.usefixtures("on_path")
def test_without_any_the_image_that_has_it_is_named(postgres_settings: PostgresSettings) -> None:
    with pytest.raises(MisconfiguredError, match=r"Found: none.*agentmem-operator"):
        Tools(postgres_settings, [])
