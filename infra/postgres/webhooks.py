"""A project's webhooks.

Each method blocks and raises what ``Database``'s methods do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid4

from sqlalchemy import Row, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert

from infra.postgres.engine import Connect
from infra.postgres.locks import lock_project
from infra.postgres.tables import webhooks
from schemas.problems import AlreadyMadeError, TooManyError
from schemas.scope import ENTITY_FIELDS
from schemas.times import format_instant, parse_instant
from schemas.webhooks import Webhook

#: Secrets of a webhook that may be in their grace time at once: each post has a signature for each.
_PREVIOUS_MAX: Final = 4


class Webhooks:
    """What a project may do with its webhooks, on the database's connections."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect

    def create(
        self,
        project: str,
        *,
        name: str,
        url: str,
        event_types: Sequence[str],
        secret: str,
        ids: Mapping[str, str],
        is_active: bool = True,
        id: UUID | None = None,
        most: int | None = None,
    ) -> Webhook:
        """Make a webhook, which is told of what happens from now on.

        Raises ``AlreadyMadeError`` when there is one of this id, ``TooManyError`` when the project has ``most``.
        """
        id = id or uuid4()
        statement = (
            insert(webhooks)
            .values(
                id=id,
                project=project,
                name=name,
                url=url,
                event_types=list(event_types),
                secret=secret,
                is_active=is_active,
                failures=0,
                next_attempt_at=func.now(),
                created_at=func.now(),
                updated_at=func.now(),
                **ids,
            )
            .on_conflict_do_nothing(index_elements=["id"])
            .returning(webhooks)
        )
        count = select(func.count()).select_from(webhooks).where(webhooks.c.project == project)
        with self._connect(project) as connection:
            lock_project(connection, "webhooks", project)
            row = connection.execute(statement).one_or_none()
            if row is None:
                raise AlreadyMadeError(id)
            if most is not None and connection.execute(count).scalar_one() > most:
                raise TooManyError
            return webhook_of(row)

    def all(self, project: str) -> list[Webhook]:
        """The project's webhooks, oldest first."""
        statement = select(webhooks).where(webhooks.c.project == project)
        with self._connect(project) as connection:
            rows = connection.execute(statement.order_by(webhooks.c.created_at, webhooks.c.id))
            return [webhook_of(row) for row in rows]

    def find(self, project: str, id: UUID) -> Webhook | None:
        """One webhook of the project."""
        with self._connect(project) as connection:
            row = connection.execute(select(webhooks).where(*_mine(project, id))).one_or_none()
            return None if row is None else webhook_of(row)

    def change(self, project: str, id: UUID, changes: Mapping[str, Any]) -> Webhook | None:
        """Set these columns; None when the project has no such webhook.

        ``is_active: True`` gives it a new start: its failures are forgotten, and what waits is due.
        """
        values = dict(changes) | {"updated_at": func.now()}
        if values.get("is_active"):
            values |= {
                "failures": 0,
                "failing_since": None,
                "disabled_reason": None,
                "next_attempt_at": func.now(),
            }
        statement = update(webhooks).where(*_mine(project, id)).values(values).returning(webhooks)
        with self._connect(project) as connection:
            row = connection.execute(statement).one_or_none()
            return None if row is None else webhook_of(row)

    def rotate(self, project: str, id: UUID, secret: str, grace_s: float) -> Webhook | None:
        """Sign with this secret, and with the one until now for ``grace_s`` seconds more.

        Those before it keep the time that they have; without a grace time all end at once. Raises
        ``TooManyError`` when as many are in their grace time as may be.
        """
        with self._connect(project) as connection:
            found = connection.execute(select(webhooks).where(*_mine(project, id)).with_for_update()).one_or_none()
            if found is None:
                return None
            webhook, now = webhook_of(found), datetime.now(UTC)
            earlier = [one for one in webhook.previous_secrets if one[1] > now]
            if grace_s and len(earlier) >= _PREVIOUS_MAX:
                raise TooManyError
            kept = [(webhook.secret, now + timedelta(seconds=grace_s)), *earlier] if grace_s else []
            values = {
                "secret": secret,
                "previous_secrets": [[old, format_instant(until)] for old, until in kept],
                "updated_at": func.now(),
            }
            statement = update(webhooks).where(webhooks.c.id == id).values(values).returning(webhooks)
            return webhook_of(connection.execute(statement).one())

    def remove(self, project: str, id: UUID) -> bool:
        """Remove a webhook with its deliveries; False when the project has no such webhook."""
        with self._connect(project) as connection:
            return connection.execute(delete(webhooks).where(*_mine(project, id))).rowcount == 1


def webhook_of(row: Row[Any]) -> Webhook:
    """A row of ``webhooks``."""
    return Webhook(
        id=row.id,
        project=row.project,
        name=row.name,
        url=row.url,
        event_types=tuple(row.event_types),
        secret=row.secret,
        is_active=row.is_active,
        created_at=row.created_at,
        updated_at=row.updated_at,
        ids={field: value for field in ENTITY_FIELDS if (value := getattr(row, field)) is not None},
        disabled_reason=row.disabled_reason,
        failing_since=row.failing_since,
        previous_secrets=tuple((secret, parse_instant(until)) for secret, until in row.previous_secrets),
    )


def _mine(project: str, id: UUID) -> tuple[Any, ...]:
    return webhooks.c.project == project, webhooks.c.id == id
