"""The connection pool."""

from __future__ import annotations

import orjson
from sqlalchemy import Engine, create_engine
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from infra.postgres.settings import PostgresSettings
from schemas.problems import MisconfiguredError


def make_engine(settings: PostgresSettings, application: str = "agentmem") -> Engine:
    """A pool that connects when first used. Raises ``MisconfiguredError`` for a DSN that is no URL."""
    try:
        url = make_url(settings.dsn.get_secret_value()).set(drivername="postgresql+psycopg2")
    except ArgumentError as error:
        raise MisconfiguredError(
            "postgres.dsn is not a URL; it looks like postgresql://user:password@host:port/name"
        ) from error
    return create_engine(
        url,
        pool_size=settings.pool_size,
        max_overflow=0,
        pool_timeout=settings.connect_timeout_s,
        # A connection that died while idle is replaced instead of failing the next transaction.
        pool_pre_ping=True,
        json_deserializer=orjson.loads,
        json_serializer=lambda value: orjson.dumps(value).decode(),
        connect_args={
            "application_name": application,
            "connect_timeout": settings.connect_timeout_s,
            "options": f"-c statement_timeout={settings.statement_timeout_s * 1000} -c timezone=UTC",
            # A host that vanished without closing its connections is noticed within a quarter of a minute.
            "keepalives_idle": 5,
            "keepalives_interval": 2,
            "keepalives_count": 5,
            "tcp_user_timeout": 15_000,
        },
    )
