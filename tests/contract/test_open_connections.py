"""Hanging up on a Postgres that answers nothing."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import psycopg2
import pytest
from sqlalchemy import event
from sqlalchemy.exc import OperationalError

from infra.postgres import PostgresSettings
from infra.postgres.engine import make_engine
from infra.postgres.open_connections import OpenConnections

_WITHIN_S = 60


def test_a_connection_that_is_still_being_set_up_is_hung_up_on(postgres_settings: PostgresSettings) -> None:
    engine = make_engine(postgres_settings.model_copy(update={"statement_timeout_s": 600}))

    @event.listens_for(engine, "connect")
    def set_up(connection: Any, _record: Any) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_sleep(600)")

    connections = OpenConnections(engine)
    with ThreadPoolExecutor(1) as thread:
        connecting = thread.submit(engine.connect)
        try:
            _until_it_waits(postgres_settings)
        finally:
            connections.hang_up()
        with pytest.raises(OperationalError):
            connecting.result(_WITHIN_S)
    engine.dispose()


def _until_it_waits(settings: PostgresSettings) -> None:
    asleep = "SELECT 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()"
    deadline = time.monotonic() + _WITHIN_S
    with closing(psycopg2.connect(settings.dsn.get_secret_value())) as connection, connection.cursor() as cursor:
        connection.autocommit = True
        cursor.execute(asleep)
        while cursor.fetchone() is None:
            assert time.monotonic() < deadline
            time.sleep(0.05)
            cursor.execute(asleep)
