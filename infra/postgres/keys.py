"""Projects and their API keys. A key is shown once; the database holds only its hash."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID, uuid4

from sqlalchemy import Connection, Row, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert

from infra.postgres.tables import api_keys, projects
from schemas.problems import AlreadyMadeError

#: All that a key may be allowed to do.
SCOPES: Final = ("read", "write", "admin")
#: What it may do unless something else is asked for.
DEFAULT_SCOPES: Final = ("read", "write")

_PREFIX: Final = "am_"
_PREFIX_SHOWN: Final = len(_PREFIX) + 6


@dataclass(frozen=True, slots=True)
class ApiKey:
    """An API key: what it may do (``scopes`` of ``read``, ``write``, ``admin``) in which project.

    ``prefix`` is how its token begins, enough to recognise it by. The token itself is nowhere.
    """

    project: str
    name: str
    scopes: frozenset[str]
    id: UUID
    prefix: str
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class IssuedKey:
    """A new key with its token, which cannot be read again."""

    key: ApiKey
    token: str


def hash_of(token: str) -> str:
    """What the database keeps of a token: SHA-256, in hex."""
    return hashlib.sha256(token.encode()).hexdigest()


def create_project(connection: Connection, project: str) -> bool:
    """Make the project unless it is there; whether it was made."""
    statement = insert(projects).values(id=project, created_at=func.now()).on_conflict_do_nothing()
    return connection.execute(statement).rowcount == 1


def list_projects(connection: Connection) -> list[tuple[str, datetime]]:
    """Every project and when it was made, oldest first."""
    statement = select(projects.c.id, projects.c.created_at).order_by(projects.c.created_at, projects.c.id)
    return [(row.id, row.created_at) for row in connection.execute(statement)]


def create_api_key(
    connection: Connection,
    project: str,
    name: str,
    scopes: Collection[str],
    expires_at: datetime | None,
    id: UUID | None = None,
) -> IssuedKey:
    """Make a key for the project. Raises ``AlreadyMadeError`` when there is one of this id."""
    id = id or uuid4()
    token = _PREFIX + secrets.token_urlsafe(32)
    statement = (
        insert(api_keys)
        .values(
            id=id,
            project=project,
            name=name,
            prefix=token[:_PREFIX_SHOWN],
            hash=hash_of(token),
            scopes=[scope for scope in SCOPES if scope in scopes],
            created_at=func.now(),
            expires_at=expires_at,
        )
        .on_conflict_do_nothing(index_elements=["id"])
        .returning(api_keys)
    )
    row = connection.execute(statement).one_or_none()
    if row is None:
        raise AlreadyMadeError(id)
    return IssuedKey(_key_of(row), token)


def list_api_keys(connection: Connection, project: str) -> list[ApiKey]:
    """The project's keys, oldest first, also those that are expired or revoked."""
    columns = api_keys.c
    statement = select(api_keys).where(columns.project == project).order_by(columns.created_at, columns.id)
    return [_key_of(row) for row in connection.execute(statement)]


def rotate_api_key(
    connection: Connection,
    project: str,
    id: UUID,
    grace_s: float,
    expires_at: datetime | None,
    new_id: UUID | None = None,
) -> IssuedKey | None:
    """A new key in place of a valid one, which goes on working for ``grace_s`` seconds.

    The new one has the name and scopes of the old, and its expiry unless ``expires_at`` gives another. None
    when the project has no such valid key. Raises ``AlreadyMadeError`` when there is a key ``new_id``.
    """
    columns = api_keys.c
    if new_id is not None:
        # The call that made it may have ended the old one.
        made = select(columns.id).where(columns.project == project, columns.id == new_id)
        if connection.execute(made).one_or_none() is not None:
            raise AlreadyMadeError(new_id)
    old = connection.execute(
        select(api_keys).where(columns.project == project, columns.id == id, *_valid()).with_for_update()
    ).one_or_none()
    if old is None:
        return None
    issued = create_api_key(connection, project, old.name, old.scopes, expires_at or old.expires_at, new_id)
    ends = func.now() + func.make_interval(0, 0, 0, 0, 0, 0, grace_s)
    connection.execute(
        update(api_keys).where(columns.id == id).values(expires_at=func.least(columns.expires_at, ends))
    )
    return issued


def revoke_api_key(connection: Connection, project: str, id: UUID) -> bool:
    """End a key at once; False when the project has no such key. Revoking again changes nothing."""
    columns = api_keys.c
    statement = (
        update(api_keys)
        .where(columns.project == project, columns.id == id)
        .values(revoked_at=func.coalesce(columns.revoked_at, func.now()))
    )
    return connection.execute(statement).rowcount == 1


def find_api_key(connection: Connection, token: str) -> ApiKey | None:
    """The key of this token, unless it is unknown, expired or revoked.

    The lookup is by hash: how long it takes tells nothing about the token.
    """
    statement = select(api_keys).where(api_keys.c.hash == hash_of(token), *_valid())
    row = connection.execute(statement).one_or_none()
    return None if row is None else _key_of(row)


def _valid() -> list[Any]:
    expires = api_keys.c.expires_at
    return [api_keys.c.revoked_at.is_(None), or_(expires.is_(None), expires > func.now())]


def _key_of(row: Row[Any]) -> ApiKey:
    return ApiKey(
        project=row.project,
        name=row.name,
        scopes=frozenset(row.scopes),
        id=row.id,
        prefix=row.prefix,
        created_at=row.created_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
    )
