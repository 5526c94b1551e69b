"""Memories that expired long ago. Each method blocks and raises what ``Database``'s methods do."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from sqlalchemy import Text, cast, exists, func, literal, select

from infra.postgres.engine import Connect
from infra.postgres.following import STANDING
from infra.postgres.rows import standing_of
from infra.postgres.tables import memories, requests
from schemas.memories import Standing

_REQUEST = "expired:"


def expiry_request_id(id: UUID, version: int) -> str:
    """The id of the request that deletes a memory as it expired: whoever asks for it asks for the same."""
    return f"{_REQUEST}{id}:{version}"


class Expiring:
    """On the database's connections."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect

    def due(self, keep: timedelta, limit: int) -> list[Standing]:
        """Live memories that expired longer ago than ``keep``, and of whose deletion nothing is known yet."""
        asked = cast(memories.c.id, Text) + literal(":") + cast(memories.c.version, Text)
        known = exists().where(
            requests.c.project == memories.c.project, requests.c.request_id == literal(_REQUEST) + asked
        )
        statement = (
            select(*STANDING)
            .where(memories.c.deleted_at.is_(None), memories.c.expires_at < func.now() - keep, ~known)
            .order_by(memories.c.expires_at)
            .limit(limit)
        )
        with self._connect() as connection:
            return [standing_of(row) for row in connection.execute(statement)]
