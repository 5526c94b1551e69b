"""Letting Ctrl-C end a query: without this it is noticed only when the database has answered."""

from __future__ import annotations

import select
from typing import Any

from psycopg2 import extensions


def make_queries_interruptible() -> None:
    """For all connections of this process. Only queries of the main thread are interrupted."""
    extensions.set_wait_callback(_wait)


def _wait(connection: Any) -> None:
    # An interrupt breaks the connection, and so ends the query.
    while (state := connection.poll()) != extensions.POLL_OK:
        reading = state == extensions.POLL_READ
        select.select([connection] if reading else [], [] if reading else [connection], [])
