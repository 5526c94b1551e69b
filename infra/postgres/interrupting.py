"""Letting Ctrl-C end a query: without this it is noticed only when the database has answered."""

from __future__ import annotations

import select
import time
from typing import Any, Final

from psycopg2 import OperationalError, extensions

_CONNECTED: Final = (extensions.STATUS_READY, extensions.STATUS_BEGIN, extensions.STATUS_PREPARED)


def make_queries_interruptible() -> None:
    """For all connections of this process. Only queries of the main thread are interrupted."""
    extensions.set_wait_callback(_wait)


def _wait(connection: Any) -> None:
    deadline = _deadline(connection)
    # An interrupt breaks the connection, and so ends the query.
    while (state := connection.poll()) != extensions.POLL_OK:
        reading = state == extensions.POLL_READ
        left = None if deadline is None else max(0.0, deadline - time.monotonic())
        if not any(select.select([connection] if reading else [], [] if reading else [connection], [], left)):
            raise OperationalError("timeout expired")


def _deadline(connection: Any) -> float | None:
    """Until when a connection must be made: who waits himself is not told by libpq, which knows the time."""
    if connection.status in _CONNECTED:
        return None
    seconds = int(connection.info.dsn_parameters.get("connect_timeout", 0))
    return time.monotonic() + seconds if seconds else None
