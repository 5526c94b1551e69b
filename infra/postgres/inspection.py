"""Postgres as it is found. Nothing is made or changed. Each function blocks; call it on a thread."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from sqlalchemy import Connection, text

from infra.postgres.engine import make_engine
from infra.postgres.errors import translated
from infra.postgres.settings import PostgresSettings
from infra.postgres.tables import metadata

_APPLICATION: Final = "agentmem-doctor"
#: What the login of the workers does with every table.
_PRIVILEGES: Final = ("SELECT", "INSERT", "UPDATE")


@dataclass(frozen=True, slots=True)
class Server:
    """The server and our database there. ``clock_ahead`` of this machine's, give or take ``uncertainty``."""

    version: str
    encoding: str
    read_only: bool
    clock_ahead: timedelta
    uncertainty: timedelta

    @property
    def major(self) -> int:
        """The major version."""
        return int(self.version.split(".")[0].split(" ")[0])


@dataclass(frozen=True, slots=True)
class Rights:
    """Who the login is, what it lacks on our tables, and whether it may work as the gateway's role."""

    login: str
    missing: tuple[str, ...]
    gateway_role: bool


def read_server(settings: PostgresSettings) -> Server:
    """Ask the server who it is and what time it has. Raises what :class:`~infra.postgres.Database` raises."""
    engine = make_engine(settings, _APPLICATION)
    try:
        with translated(), engine.connect() as connection:
            version, encoding, read_only = connection.execute(
                text(
                    "SELECT current_setting('server_version'), current_setting('server_encoding'),"
                    " pg_is_in_recovery() OR current_setting('default_transaction_read_only')::bool"
                )
            ).one()
            ahead, uncertainty = _clock(connection)
    finally:
        engine.dispose()
    return Server(version, encoding, read_only, ahead, uncertainty)


def _clock(connection: Connection) -> tuple[timedelta, timedelta]:
    before, started = datetime.now(UTC), time.monotonic()
    there: datetime = connection.execute(text("SELECT clock_timestamp()")).scalar_one()
    half = timedelta(seconds=(time.monotonic() - started) / 2)
    return there - (before + half), half


def read_rights(settings: PostgresSettings) -> Rights:
    """What the login may do with the tables that exist. Raises what :class:`~infra.postgres.Database` raises."""
    engine = make_engine(settings, _APPLICATION)
    try:
        with translated(), engine.connect() as connection:
            login: str = connection.execute(text("SELECT current_user")).scalar_one()
            missing = connection.execute(
                text(
                    "SELECT privilege || ' on ' || name"
                    " FROM unnest(CAST(:tables AS text[])) name, unnest(CAST(:privileges AS text[])) privilege"
                    " WHERE NOT has_table_privilege(to_regclass(name), privilege)"
                ),
                {"tables": list(metadata.tables), "privileges": list(_PRIVILEGES)},
            ).scalars()
            role = connection.execute(
                text("SELECT pg_has_role(oid, 'MEMBER') FROM pg_roles WHERE rolname = :role"),
                {"role": settings.gateway_role},
            ).scalar_one_or_none()
            return Rights(login, tuple(missing), bool(role))
    finally:
        engine.dispose()
