"""When nothing older can appear any more, and when nobody else does the same."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import SecretStr
from sqlalchemy import text

from infra.postgres import Database, PostgresSettings
from infra.postgres.engine import make_engine


def test_a_moment_is_settled_when_all_that_had_written_by_then_have_ended(
    postgres_settings: PostgresSettings, database: Database, stores: Mapping[str, str]
) -> None:
    own = make_engine(postgres_settings)
    other = make_engine(PostgresSettings(dsn=SecretStr(stores["AGENTMEM_POSTGRES_DSN"])))
    give_id = text("SELECT pg_current_xact_id()")
    try:
        with own.connect() as earlier, own.connect() as later, other.connect() as elsewhere:
            earlier.execute(give_id)
            elsewhere.execute(give_id)
            _, mark = database.moment()
            later.execute(give_id)
            assert not database.settled(mark)
            earlier.rollback()
            assert database.settled(mark)
            _, after_later = database.moment()
            assert not database.settled(after_later)
    finally:
        own.dispose()
        other.dispose()


def test_only_one_does_what_is_done_exclusively(postgres_settings: PostgresSettings, database: Database) -> None:
    another = Database(postgres_settings)
    try:
        with database.exclusively("a thing") as alone, another.exclusively("a thing") as again:
            assert (alone, again) == (True, False)
            with another.exclusively("another thing") as other:
                assert other
        with another.exclusively("a thing") as now:
            assert now
    finally:
        another.close()


def test_what_is_done_is_done_though_the_lock_was_lost_meanwhile(database: Database) -> None:
    kill = text(
        "SELECT pg_terminate_backend(pid, 10000) FROM pg_locks WHERE locktype = 'advisory'"
        " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    )
    with database.exclusively("a thing") as alone:
        assert alone
        with database._connection() as connection:
            assert connection.execute(kill).scalars().all() == [True]
    with database.exclusively("a thing") as again:
        assert again
