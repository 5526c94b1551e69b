"""The open connections of a pool, so that it can hang up on those whose server answers nothing."""

from __future__ import annotations

import os
import socket
import threading
from contextlib import suppress
from typing import Any
from weakref import WeakSet

import psycopg2
from sqlalchemy import Engine, event


class OpenConnections:
    """Those of a pool, in use or not.

    Pools tell of a connection that is taken only once it was seen to live, which may take for ever, too.
    """

    def __init__(self, engine: Engine) -> None:
        self._connections: WeakSet[Any] = WeakSet()
        self._lock = threading.Lock()
        # First of all: what else is done with a new connection asks the server already.
        event.listen(engine, "connect", self._add, insert=True)

    def hang_up(self) -> None:
        """Whoever waits for an answer gets an error; the server ends what it does for a connection that is gone.

        It is not asked to: libpq would wait for that answer, too, and psycopg2 lets no other thread run meanwhile.
        """
        with self._lock:
            for connection in self._connections:
                _shut_down(connection)

    def _add(self, connection: Any, *_: Any) -> None:
        with self._lock:
            self._connections.add(connection)


def _shut_down(connection: Any) -> None:
    with (
        suppress(psycopg2.Error, OSError),  # it ended by itself
        # A copy of the descriptor: the connection closes its own when it finds out.
        socket.socket(fileno=os.dup(connection.fileno())) as shared,
    ):
        shared.shutdown(socket.SHUT_RDWR)
