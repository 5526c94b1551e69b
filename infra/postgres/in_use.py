"""The connections that are in use, so that what they wait for can be given up."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import Any, Final
from weakref import WeakSet

import psycopg2
from sqlalchemy import Engine, event

#: How long asking the server may take, in seconds: it may be what does not answer.
_WITHIN_S: Final = 2.0


class ConnectionsInUse:
    """Those of a pool."""

    def __init__(self, engine: Engine) -> None:
        self._connections: WeakSet[Any] = WeakSet()
        self._lock = threading.Lock()
        event.listen(engine, "checkout", self._taken)
        event.listen(engine, "checkin", self._given_back)

    def cancel(self) -> None:
        """Let the server end their statements: whoever waits for one gets an error."""
        with self._lock:
            connections = list(self._connections)
        threads = [threading.Thread(target=_cancel, args=(one,), daemon=True) for one in connections]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(_WITHIN_S)

    def _taken(self, connection: Any, *_: Any) -> None:
        with self._lock:
            self._connections.add(connection)

    def _given_back(self, connection: Any, *_: Any) -> None:
        if connection is not None:  # it broke
            with self._lock:
                self._connections.discard(connection)


def _cancel(connection: Any) -> None:
    with suppress(psycopg2.Error):  # it ended by itself
        connection.cancel()
