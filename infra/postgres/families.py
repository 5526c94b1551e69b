"""Families of refresh tokens: one row for each login, which knows the one token that may be used next."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, and_, delete, func, or_, select, update

from infra.postgres.tables import api_keys, token_families


@dataclass(frozen=True, slots=True)
class TokenFamily:
    """A login that is still good: made with the key ``key_id``, it may do what ``scopes`` say."""

    id: UUID
    project: str
    key_id: UUID
    key_name: str
    scopes: frozenset[str]
    expires_at: datetime


def start_family(
    connection: Connection,
    project: str,
    key_id: UUID,
    id: UUID,
    current: UUID,
    scopes: Collection[str],
    ttl_s: float,
) -> None:
    """Note a new login, whose first refresh token is ``current``; what has expired is cleared away."""
    connection.execute(
        delete(token_families).where(token_families.c.project == project, token_families.c.expires_at < func.now())
    )
    connection.execute(
        token_families.insert().values(
            id=id,
            project=project,
            key_id=key_id,
            scopes=sorted(scopes),
            current=current,
            created_at=func.now(),
            expires_at=func.now() + func.make_interval(0, 0, 0, 0, 0, 0, ttl_s),
        )
    )


def find_family(connection: Connection, project: str, id: UUID) -> TokenFamily | None:
    """The family, unless it, or the key it was made with, is unknown, expired or revoked."""
    statement = (
        select(token_families, api_keys.c.name.label("key_name"), api_keys.c.scopes.label("key_scopes"))
        .join(api_keys, and_(api_keys.c.id == token_families.c.key_id, api_keys.c.project == project))
        .where(token_families.c.project == project, token_families.c.id == id, *_good())
    )
    row = connection.execute(statement).one_or_none()
    if row is None:
        return None
    scopes = frozenset(row.scopes) & frozenset(row.key_scopes)
    return TokenFamily(row.id, row.project, row.key_id, row.key_name, scopes, row.expires_at)


def advance_family(connection: Connection, project: str, id: UUID, used: UUID, next: UUID) -> TokenFamily | None:
    """Use the refresh token ``used``, after which only ``next`` may be used.

    None when that is not to be: the family has ended, or ``used`` is not the current token. A token that was
    used before is in two hands, and one of them stole it: then the family ends.
    """
    columns = token_families.c
    mine = (columns.project == project, columns.id == id)
    row = connection.execute(
        select(columns.current).where(*mine, columns.revoked_at.is_(None)).with_for_update()
    ).one_or_none()
    if row is None:
        return None
    if row.current != used:
        revoke_family(connection, project, id)
        return None
    family = find_family(connection, project, id)
    if family is not None:
        connection.execute(update(token_families).where(*mine).values(current=next))
    return family


def revoke_family(connection: Connection, project: str, id: UUID) -> None:
    """End a login. Revoking again changes nothing."""
    columns = token_families.c
    connection.execute(
        update(token_families)
        .where(columns.project == project, columns.id == id, columns.revoked_at.is_(None))
        .values(revoked_at=func.now())
    )


def _good() -> list[Any]:
    key_expires = api_keys.c.expires_at
    return [
        token_families.c.revoked_at.is_(None),
        token_families.c.expires_at > func.now(),
        api_keys.c.revoked_at.is_(None),
        or_(key_expires.is_(None), key_expires > func.now()),
    ]
