"""What a dump is of."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import text

from agentmem.backup import tools
from infra.postgres import Database, PostgresSettings
from schemas.problems import MisconfiguredError
from tests.harness.next_schema import expand


def test_another_schema_of_the_database_is_left_alone(postgres_settings: PostgresSettings, tmp_path: Path) -> None:
    with closing(Database(postgres_settings)) as database:
        with database._connection() as connection:
            connection.execute(text("CREATE SCHEMA another"))
            connection.execute(text("CREATE TABLE another.things AS SELECT 1 AS number"))
        database.create_project("ours")
    dumped = tools(postgres_settings).dump(tmp_path / "dump")
    tools(postgres_settings).restore(tmp_path / "dump", dumped)
    with closing(Database(postgres_settings)) as database:
        assert [project for project, _ in database.credentials.projects()] == ["ours"]
        with database._connection() as connection:
            assert connection.execute(text("SELECT count(*) FROM another.things")).scalar_one() == 1


def test_a_database_of_a_later_version_is_refused_before_anything_is_done(
    postgres_settings: PostgresSettings, postgres_dsn: str, tmp_path: Path
) -> None:
    """Nobody here can take it down: whoever restores must know before the group is set back."""
    dumped = tools(postgres_settings).dump(tmp_path / "dump")
    expand(postgres_dsn)
    with pytest.raises(MisconfiguredError, match="later version, which alone can undo it"):
        tools(postgres_settings).check(dumped, replace=True)
