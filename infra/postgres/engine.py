"""The connection pool."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Final

import orjson
import psycopg2
from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from infra.postgres.settings import PostgresSettings
from schemas.problems import MisconfiguredError

_ANY_STATEMENT: Final = text("SET LOCAL statement_timeout = 0")
_ANY_IDLENESS: Final = text("SET LOCAL idle_in_transaction_session_timeout = 0")

#: Begins a transaction, for a project where one is named, and ends it.
Connect = Callable[..., AbstractContextManager[Connection]]


def make_engine(
    settings: PostgresSettings, application: str = "agentmem", role: str | None = None, *, pre_ping: bool = True
) -> Engine:
    """A pool that connects when first used; with ``role`` every connection works as that role.

    ``pre_ping``: a connection that died while idle is replaced instead of failing the next transaction. That costs
    every transaction three round trips more.

    Raises ``MisconfiguredError`` for a DSN that is no URL. Connecting raises it when the role cannot be taken.
    """
    try:
        url = make_url(settings.dsn.get_secret_value()).set(drivername="postgresql+psycopg2")
    except ArgumentError as error:
        raise MisconfiguredError(
            "postgres.dsn is not a URL; it looks like postgresql://user:password@host:port/name"
        ) from error
    engine = create_engine(
        url,
        pool_size=settings.pool_size,
        max_overflow=0,
        pool_timeout=settings.connect_timeout_s,
        pool_pre_ping=pre_ping,
        json_deserializer=orjson.loads,
        json_serializer=lambda value: orjson.dumps(value).decode(),
        connect_args={
            "application_name": application,
            "connect_timeout": settings.connect_timeout_s,
            "options": " ".join(f"-c {name}={value}" for name, value in _session(settings).items()),
            # A host that vanished without closing its connections is noticed within a quarter of a minute.
            "keepalives_idle": 5,
            "keepalives_interval": 2,
            "keepalives_count": 5,
            "tcp_user_timeout": 15_000,
        },
    )
    if role is not None:
        event.listen(engine, "connect", _taking(role))
    return engine


def _session(settings: PostgresSettings) -> dict[str, str | int]:
    """What the server is told of each session.

    A process that stands still (suspended, or its host is gone) keeps no lock for longer than the last two say:
    the one ends its transaction when it asks nothing, the other its session when it takes no answer. Of one that
    has hung up (it was killed, or does not wait any more) the statement ends within a second.
    """
    idle_ms = settings.idle_in_transaction_timeout_s * 1000
    return {
        "timezone": "UTC",
        "statement_timeout": settings.statement_timeout_s * 1000,
        "client_connection_check_interval": 1_000,
        "tcp_keepalives_idle": 5,
        "tcp_keepalives_interval": 2,
        "tcp_user_timeout": idle_ms,
        "idle_in_transaction_session_timeout": idle_ms,
    }


def lift_statement_limit(connection: Connection) -> None:
    """Let each statement of this transaction take its time."""
    connection.execute(_ANY_STATEMENT)


def lift_limits(connection: Connection) -> None:
    """Let whoever works with this transaction take its time, too: for one that nobody waits for."""
    lift_statement_limit(connection)
    connection.execute(_ANY_IDLENESS)


def _taking(role: str) -> Callable[[Any, Any], None]:
    def take(connection: Any, _record: Any) -> None:
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT set_config('role', %s, false)", (role,))
            connection.commit()
        except (psycopg2.errors.InvalidParameterValue, psycopg2.errors.InsufficientPrivilege) as error:
            raise MisconfiguredError(
                f"Postgres does not let this login work as {role} ({str(error).strip()}): run `agentmem migrate`, "
                f"and GRANT {role} TO the gateway's login"
            ) from error

    return take
