"""Locks of a project that end with the transaction."""

from __future__ import annotations

from sqlalchemy import Connection, text


def lock_project(connection: Connection, what: str, project: str, *, shared: bool = False) -> None:
    """Wait until nobody else does this in the project, or only others who share it."""
    kind = "pg_advisory_xact_lock_shared" if shared else "pg_advisory_xact_lock"
    # A statement of its own: what comes after it sees all that was committed while it waited.
    connection.execute(text(f"SELECT {kind}(hashtextextended(:key, 0))"), {"key": f"{what}/{project}"})
