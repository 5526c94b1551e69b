"""The connections that are in use, so that what they wait for can be given up."""

from __future__ import annotations

import os
import socket
import threading
from contextlib import suppress
from typing import Any, Final
from weakref import WeakSet

import psycopg2
from sqlalchemy import Engine, event

#: How long the server has to answer when it is asked to end its statements, in seconds.
_WITHIN_S: Final = 2.0


class ConnectionsInUse:
    """Those of a pool."""

    def __init__(self, engine: Engine) -> None:
        self._connections: WeakSet[Any] = WeakSet()
        self._changed = threading.Condition()
        event.listen(engine, "checkout", self._taken)
        event.listen(engine, "checkin", self._given_back)

    def give_up(self) -> None:
        """Whoever waits for an answer gets an error: from the server, or, if that stands still, from here."""
        with self._changed:
            for connection in self._connections:
                # To ask may itself take for ever.
                threading.Thread(target=_cancel, args=(connection,), daemon=True).start()
            self._changed.wait_for(lambda: not len(self._connections), _WITHIN_S)
            for connection in self._connections:
                _hang_up(connection)

    def _taken(self, connection: Any, *_: Any) -> None:
        with self._changed:
            self._connections.add(connection)

    def _given_back(self, connection: Any, *_: Any) -> None:
        with self._changed:
            if connection is not None:  # else it broke
                self._connections.discard(connection)
            self._changed.notify_all()


def _cancel(connection: Any) -> None:
    with suppress(psycopg2.Error):  # it ended by itself
        connection.cancel()


def _hang_up(connection: Any) -> None:
    with (
        suppress(psycopg2.Error, OSError),  # it ended by itself
        # A copy of the descriptor: the connection closes its own when it finds out.
        socket.socket(fileno=os.dup(connection.fileno())) as shared,
    ):
        shared.shutdown(socket.SHUT_RDWR)
