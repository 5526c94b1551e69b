"""What a database error means for the work in hand, by its SQLSTATE class."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import psycopg2
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from schemas.problems import BatchRejectedError, MisconfiguredError, StoreUnavailableError

# Connection, transaction rollback, resources, object state, operator intervention, system error; and a
# transaction that became read-only, as happens when a primary is demoted.
_WAIT: Final = {"08", "25", "40", "53", "55", "57", "58"}
# Data exception, integrity constraint, program limit exceeded: what was sent can never be stored.
_RECORD: Final = {"22", "23", "54"}
# Authorisation, missing database, privileges or schema: somebody must mend the set-up.
_SETUP: Final = {"28", "3D", "3F", "42"}


@contextmanager
def translated() -> Iterator[None]:
    """Turn database errors into ``StoreUnavailableError``, ``BatchRejectedError`` or ``MisconfiguredError``."""
    try:
        yield
    except PoolTimeoutError as error:
        raise StoreUnavailableError("Postgres", "no connection became free in time") from error
    except DBAPIError as error:
        state: str | None = getattr(error.orig, "pgcode", None)
        detail = str(error.orig).strip()
        # Without a state the connection broke, unless the driver itself refused the data.
        if state is None and not _is_connection_error(error):
            raise
        if state is None or state[:2] in _WAIT:
            raise StoreUnavailableError("Postgres", detail) from error
        if state[:2] in _RECORD:
            raise BatchRejectedError(f"Postgres refuses the data ({state}): {detail}") from error
        if state[:2] in _SETUP:
            raise MisconfiguredError(
                f"Postgres refuses the statement ({state}): {detail}. Check the DSN and run `agentmem migrate`."
            ) from error
        raise
    except (psycopg2.OperationalError, psycopg2.InterfaceError) as error:
        # SQLAlchemy does not wrap what breaks while a connection is set up or given back.
        raise StoreUnavailableError("Postgres", str(error).strip()) from error


def _is_connection_error(error: DBAPIError) -> bool:
    return error.connection_invalidated or type(error.orig).__name__ in ("OperationalError", "InterfaceError")
