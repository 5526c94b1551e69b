"""Who may come in: projects, API keys and logins. Each method blocks and raises what ``Database``'s methods do."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from infra.postgres import families, keys
from infra.postgres.engine import Connect
from infra.postgres.families import TokenFamily
from infra.postgres.keys import DEFAULT_SCOPES, ApiKey, IssuedKey


class Credentials:
    """Keys and logins, on the database's connections."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect

    def create_project(self, project: str) -> bool:
        """Make the project unless it is there; whether it was made."""
        with self._connect(project) as connection:
            return keys.create_project(connection, project)

    def projects(self) -> list[tuple[str, datetime]]:
        """Every project and when it was made, oldest first."""
        with self._connect() as connection:
            return keys.list_projects(connection)

    def issue_key(
        self,
        project: str,
        name: str,
        scopes: Collection[str] = DEFAULT_SCOPES,
        expires_at: datetime | None = None,
        id: UUID | None = None,
    ) -> IssuedKey:
        """Make a key, and the project if need be. Raises ``AlreadyMadeError`` when there is one of this id."""
        with self._connect(project) as connection:
            keys.create_project(connection, project)
            return keys.create_api_key(connection, project, name, scopes, expires_at, id)

    def keys(self, project: str) -> list[ApiKey]:
        """The project's keys, oldest first, also those that are expired or revoked."""
        with self._connect(project) as connection:
            return keys.list_api_keys(connection, project)

    def rotate_key(
        self,
        project: str,
        id: UUID,
        grace_s: float,
        expires_at: datetime | None = None,
        new_id: UUID | None = None,
    ) -> IssuedKey | None:
        """A new key in place of a valid one, which ends after ``grace_s``; None: there is no such valid key.

        Raises ``AlreadyMadeError`` when there is a key ``new_id``.
        """
        with self._connect(project) as connection:
            return keys.rotate_api_key(connection, project, id, grace_s, expires_at, new_id)

    def revoke_key(self, project: str, id: UUID) -> bool:
        """End a key at once; False when the project has no such key."""
        with self._connect(project) as connection:
            return keys.revoke_api_key(connection, project, id)

    def find_key(self, token: str) -> ApiKey | None:
        """The key of this token, unless it is unknown, expired or revoked."""
        with self._connect(key_hash=keys.hash_of(token)) as connection:
            return keys.find_api_key(connection, token)

    def start_family(
        self, project: str, key_id: UUID, id: UUID, current: UUID, scopes: Collection[str], ttl_s: float
    ) -> None:
        """Note a login whose first refresh token is ``current``; it is good for ``ttl_s`` seconds."""
        with self._connect(project) as connection:
            families.start_family(connection, project, key_id, id, current, scopes, ttl_s)

    def find_family(self, project: str, id: UUID) -> TokenFamily | None:
        """The login, unless it, or the key it was made with, is unknown, expired or revoked."""
        with self._connect(project) as connection:
            return families.find_family(connection, project, id)

    def advance_family(self, project: str, id: UUID, used: UUID, next: UUID) -> TokenFamily | None:
        """Use the refresh token ``used``; None when it is not the current one: then the login has ended."""
        with self._connect(project) as connection:
            return families.advance_family(connection, project, id, used, next)

    def revoke_family(self, project: str, id: UUID) -> None:
        """End a login."""
        with self._connect(project) as connection:
            families.revoke_family(connection, project, id)
