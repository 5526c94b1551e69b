"""Databases of a test's own in a Postgres that others use as well."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from uuid import uuid4

import psycopg2
from psycopg2.extensions import ISOLATION_LEVEL_AUTOCOMMIT
from pydantic import SecretStr
from sqlalchemy.engine import make_url

from infra.postgres import PostgresSettings


def dsn_of(server: str, database: str) -> str:
    """The DSN of another database of the same server."""
    return server.rsplit("/", 1)[0] + f"/{database}"


def administer(dsn: str, *statements: str) -> None:
    """Run statements, each for itself: some of them may be in no transaction."""
    with closing(psycopg2.connect(dsn)) as connection, connection.cursor() as cursor:
        connection.set_isolation_level(ISOLATION_LEVEL_AUTOCOMMIT)
        for statement in statements:
            cursor.execute(statement)


def lock_waits(dsn: str) -> set[str]:
    """The kinds of locks that somebody waits for in this database, and in no other of the server."""
    with closing(psycopg2.connect(dsn)) as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT wait_event FROM pg_stat_activity"
            " WHERE wait_event_type = 'Lock' AND datname = current_database()"
        )
        return {kind for (kind,) in cursor.fetchall()}


def until_it_waits(dsn: str, kind: str, within_s: float) -> None:
    """Block until somebody waits for a lock of this kind in this database."""
    deadline = time.monotonic() + within_s
    while kind not in lock_waits(dsn):
        assert time.monotonic() < deadline, f"nobody waits for a lock of the kind {kind}"
        time.sleep(0.1)


@contextmanager
def owned_database(administrator: PostgresSettings) -> Iterator[tuple[PostgresSettings, str]]:
    """An empty database for its owner, who is no superuser, and that owner's name; both are gone afterwards."""
    name, password, dsn = f"owner_{uuid4().hex[:12]}", uuid4().hex, administrator.dsn.get_secret_value()
    url = make_url(dsn).set(username=name, password=password, database=name)
    administer(dsn, f"CREATE ROLE {name} LOGIN PASSWORD '{password}'", f"CREATE DATABASE {name} OWNER {name}")
    try:
        yield administrator.model_copy(update={"dsn": SecretStr(url.render_as_string(hide_password=False))}), name
    finally:
        administer(dsn, f"DROP DATABASE {name} WITH (FORCE)", f"DROP ROLE {name}")
