"""The log of what was delivered to a project's webhooks.

Each method blocks and raises what ``Database``'s methods do.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Connection, Row, func, select
from sqlalchemy.dialects.postgresql import insert

from infra.postgres import reads
from infra.postgres.engine import Connect
from infra.postgres.locks import lock_project
from infra.postgres.tables import webhook_deliveries, webhooks
from schemas.events import Event, change_event, outcome_event
from schemas.problems import NotKeptError
from schemas.webhooks import Delivery, DeliveryStatus

#: The log shows no bodies, and a page of large ones would be more than a gateway could hold.
_SHOWN: Final = [column for column in webhook_deliveries.c if column.name != "body"]
#: The lock between those who bring contents of the past up again and those who forget them.
REDACTION: Final = "redaction"


class WebhookLog:
    """What a project may do with the log, on the database's connections."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect

    def deliveries(self, project: str, id: UUID, limit: int, offset: int) -> tuple[int, list[Delivery]]:
        """How many deliveries the log of a webhook has, and a page of them, latest first."""
        table = webhook_deliveries.c
        mine = (table.project == project, table.webhook_id == id)
        page = select(*_SHOWN).where(*mine).order_by(table.id.desc()).limit(limit).offset(offset)
        with self._connect(project) as connection:
            total: int = connection.execute(
                select(func.count()).select_from(webhook_deliveries).where(*mine)
            ).scalar_one()
            return total, [delivery_of(row) for row in connection.execute(page)]

    def delivery(self, project: str, id: UUID, number: int) -> Delivery | None:
        """One line of a webhook's log."""
        table = webhook_deliveries.c
        mine = (table.project == project, table.webhook_id == id, table.id == number)
        with self._connect(project) as connection:
            row = connection.execute(select(*_SHOWN).where(*mine)).one_or_none()
            return None if row is None else delivery_of(row)

    def redeliver(self, delivery: Delivery, project: str, body: Callable[[Event], str]) -> Delivery | None:
        """Queue the event of a delivery again, as the history has it now; None while it is in the queue.

        Raises ``NotKeptError`` when the history has it no more, or the webhook is gone.
        """
        table = webhook_deliveries.c
        mine = (table.webhook_id == delivery.webhook_id, table.event_id == delivery.event_id)
        with self._connect(project) as connection:
            # What is read before somebody is forgotten is in the queue before that is redacted.
            lock_project(connection, REDACTION, project, shared=True)
            # And the webhook stays as long as this runs.
            there = select(webhooks.c.id).where(webhooks.c.id == delivery.webhook_id)
            if connection.execute(there.with_for_update(read=True, key_share=True)).one_or_none() is None:
                raise NotKeptError
            event = _event(connection, project, delivery)
            sent = connection.execute(select(table.redelivery, table.status).where(*mine)).all()
            if any(one.status == DeliveryStatus.PENDING.value for one in sent):
                return None
            values = {
                "webhook_id": delivery.webhook_id,
                "project": project,
                "event_id": delivery.event_id,
                "event_type": delivery.event_type,
                "key": event.key,
                "body": body(event),
                "request_id": delivery.request_id,
                "request_index": delivery.request_index,
                "redelivery": max((one.redelivery for one in sent), default=0) + 1,
                "status": DeliveryStatus.PENDING.value,
                "attempts": 0,
                **{name: func.now() for name in ("next_attempt_at", "created_at", "updated_at")},
            }
            # Of two who ask at the same moment one queues it.
            statement = insert(webhook_deliveries).values(values).on_conflict_do_nothing()
            row = connection.execute(statement.returning(*_SHOWN)).one_or_none()
            return None if row is None else delivery_of(row)


def _event(connection: Connection, project: str, delivery: Delivery) -> Event:
    """The event, made from the history as it was the first time."""
    if delivery.request_id is None or delivery.request_index is None:
        raise NotKeptError
    outcome = reads.outcome(connection, project, delivery.request_id)
    if outcome is None:
        raise NotKeptError
    entries = reads.request_history(connection, project, delivery.request_id, delivery.request_index - 1, 1)
    event = change_event(entries[0], outcome) if entries else outcome_event(outcome)
    if str(event.id) != delivery.event_id:
        raise NotKeptError
    return event


def delivery_of(row: Row[Any], body: bytes | None = None) -> Delivery:
    """A row of ``webhook_deliveries``, with its body for who posts it."""
    return Delivery(
        id=row.id,
        webhook_id=row.webhook_id,
        event_id=row.event_id,
        event_type=row.event_type,
        status=DeliveryStatus(row.status),
        attempts=row.attempts,
        created_at=row.created_at,
        updated_at=row.updated_at,
        next_attempt_at=row.next_attempt_at,
        body=body,
        response_status=row.response_status,
        error=row.error,
        request_id=row.request_id,
        request_index=row.request_index,
        redelivery=row.redelivery,
    )
