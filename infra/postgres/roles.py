"""The gateway's role: it owns nothing, may do only what the gateway does, and sees one project at a time."""

from __future__ import annotations

from typing import Final

from psycopg2.errors import DuplicateObject, InsufficientPrivilege, UniqueViolation
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from schemas.problems import MisconfiguredError

#: What the gateway does with each table. A table that is not named here is closed to it.
GRANTS: Final = {
    "audit": "SELECT, INSERT",
    "projects": "SELECT, INSERT",
    "api_keys": "SELECT, INSERT, UPDATE",
    "token_families": "SELECT, INSERT, UPDATE, DELETE",
    "memories": "SELECT",
    "memory_history": "SELECT",
    # SELECT FOR UPDATE asks for the right to update.
    "requests": "SELECT, INSERT, UPDATE",
    "project_settings": "SELECT, INSERT, UPDATE",
    "memory_feedback": "SELECT, INSERT, UPDATE, DELETE",
    "search_collections": "SELECT",
    "webhooks": "SELECT, INSERT, UPDATE, DELETE",
    "webhook_deliveries": "SELECT, INSERT",
}

_MEMBER: Final = text("SELECT pg_has_role(current_user, :role, 'MEMBER')")
_EXISTS: Final = text("SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = :role)")
_TABLES: Final = text("SELECT tablename FROM pg_tables WHERE schemaname = current_schema()")


def prepare_gateway_role(connection: Connection, role: str) -> None:
    """Make the role if it is missing, and grant it exactly :data:`GRANTS` on the tables that exist.

    Roles belong to the whole cluster: other databases may use the same one, or be making it right now. Raises
    ``MisconfiguredError`` when this login may not make it.
    """
    if not connection.execute(_EXISTS, {"role": role}).scalar_one():
        _run(connection, f"CREATE ROLE {role} NOLOGIN", role)
    if not connection.execute(_MEMBER, {"role": role}).scalar_one():
        _run(connection, f"GRANT {role} TO CURRENT_USER", role)
    schema: str = connection.execute(text("SELECT quote_ident(current_schema())")).scalar_one()
    connection.execute(text(f"GRANT USAGE ON SCHEMA {schema} TO {role}"))
    there = set(connection.execute(_TABLES).scalars())
    for table, privileges in GRANTS.items():
        if table in there:
            connection.execute(text(f"REVOKE ALL ON {table} FROM {role}"))
            connection.execute(text(f"GRANT {privileges} ON {table} TO {role}"))


def _run(connection: Connection, statement: str, role: str) -> None:
    try:
        with connection.begin_nested():
            connection.execute(text(statement))
    except DBAPIError as error:
        if isinstance(error.orig, DuplicateObject | UniqueViolation):
            return  # somebody else made it at the same moment
        if isinstance(error.orig, InsufficientPrivilege):
            raise MisconfiguredError(
                f"the role {role} is missing, or this login is no member of it, and may not change that: let an "
                f"administrator run CREATE ROLE {role} NOLOGIN and GRANT {role} TO this login, then migrate again"
            ) from error
        raise
