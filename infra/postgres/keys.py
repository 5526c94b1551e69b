"""Projects and their API keys. A key is shown once; the database holds only its hash."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from typing import Final
from uuid import uuid4

from sqlalchemy import Connection, func, or_, select
from sqlalchemy.dialects.postgresql import insert

from infra.postgres.tables import api_keys, projects

_PREFIX: Final = "am_"
_PREFIX_SHOWN: Final = len(_PREFIX) + 6


@dataclass(frozen=True, slots=True)
class ApiKey:
    """What a valid key may do: ``scopes`` of ``read``, ``write``, ``admin`` in one project."""

    project: str
    name: str
    scopes: frozenset[str]


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def create_project(connection: Connection, project: str) -> None:
    """Make the project unless it is there."""
    connection.execute(insert(projects).values(id=project, created_at=func.now()).on_conflict_do_nothing())


def create_api_key(connection: Connection, project: str, name: str) -> str:
    """Make a key for the project; returns the token, which cannot be read again."""
    token = _PREFIX + secrets.token_urlsafe(32)
    connection.execute(
        api_keys.insert().values(
            id=uuid4(),
            project=project,
            name=name,
            prefix=token[:_PREFIX_SHOWN],
            hash=_hash(token),
            scopes=["read", "write"],
            created_at=func.now(),
        )
    )
    return token


def find_api_key(connection: Connection, token: str) -> ApiKey | None:
    """The key of this token, unless it is unknown, expired or revoked.

    The lookup is by hash: how long it takes tells nothing about the token.
    """
    expires = api_keys.c.expires_at
    row = connection.execute(
        select(api_keys).where(
            api_keys.c.hash == _hash(token),
            api_keys.c.revoked_at.is_(None),
            or_(expires.is_(None), expires > func.now()),
        )
    ).one_or_none()
    return None if row is None else ApiKey(row.project, row.name, frozenset(row.scopes))
