"""What is on its way to webhooks: a queue in Postgres, from which any number of workers deliver.

Deliveries of one webhook and one scope go out in order: only the oldest that is pending may be claimed. Each
method blocks and raises what ``Database``'s methods do.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import delete, func, select, text, update
from sqlalchemy.dialects.postgresql import insert

from infra.postgres.engine import Connect
from infra.postgres.tables import LARGE_BODY_BYTES, webhook_deliveries, webhooks
from infra.postgres.webhook_log import delivery_of
from infra.postgres.webhooks import webhook_of
from schemas.webhooks import Delivery, DeliveryStatus, Webhook

_PENDING: Final = DeliveryStatus.PENDING.value
_PUT_AT_A_TIME: Final = 200
_PRUNED_AT_A_TIME: Final = 1_000

# Projects take turns, and those of their webhooks that are being told now had theirs: many webhooks of one
# project hold up no other's. A webhook that fails is tried with one delivery, not with as many as may be, and with
# the one that was tried least: it may be a single event that its receiver does not take.
_CLAIM: Final = """
    WITH turns AS (
        SELECT id, failures, next_attempt_at, row_number() OVER (
            PARTITION BY project ORDER BY id = ANY(:busy) DESC, next_attempt_at, id
        ) AS turn
        FROM webhooks
        WHERE id = ANY(:busy) OR (
            is_active AND next_attempt_at <= now() AND EXISTS (
                SELECT FROM webhook_deliveries AS queued
                WHERE queued.webhook_id = webhooks.id
                AND queued.status = 'pending' AND {size} AND queued.next_attempt_at <= now()
            )
        )
    ), due AS (
        SELECT head.id
        FROM (SELECT * FROM turns WHERE id <> ALL(:busy) ORDER BY turn, next_attempt_at) AS ready
        CROSS JOIN LATERAL (
            SELECT queued.id
            FROM webhook_deliveries AS queued
            WHERE queued.webhook_id = ready.id
            AND queued.status = 'pending' AND {size} AND queued.next_attempt_at <= now()
            AND NOT EXISTS (
                SELECT FROM webhook_deliveries AS earlier
                WHERE earlier.webhook_id = queued.webhook_id AND earlier.key = queued.key
                AND earlier.status = 'pending' AND earlier.id < queued.id
            )
            ORDER BY CASE WHEN ready.failures > 0 THEN queued.attempts ELSE 0 END, queued.id
            LIMIT CASE WHEN ready.failures > 0 THEN 1 ELSE :each END
            FOR UPDATE SKIP LOCKED
        ) AS head
        ORDER BY ready.turn, ready.next_attempt_at
        LIMIT :most
    )
    UPDATE webhook_deliveries AS claimed
    SET attempts = claimed.attempts + 1, next_attempt_at = now() + :lease, updated_at = now()
    FROM due WHERE claimed.id = due.id
    RETURNING claimed.*
    """
# Claimed beside each other, as by two workers: so what is small waits for nothing large, and what is large does
# not wait for ever while small ones keep coming. The number of either bounds its bytes.
_CLAIM_SMALL: Final = text(_CLAIM.format(size=f"octet_length(queued.body) <= {LARGE_BODY_BYTES}"))
_CLAIM_LARGE: Final = text(_CLAIM.format(size=f"octet_length(queued.body) > {LARGE_BODY_BYTES}"))


@dataclass(frozen=True, slots=True)
class Queued:
    """An event that a webhook is to be told of. ``key``: the scope's, which orders."""

    webhook_id: UUID
    project: str
    event_id: str
    event_type: str
    key: str
    body: str
    request_id: str | None = None
    request_index: int | None = None


@dataclass(frozen=True, slots=True)
class Attempt:
    """How a delivery went: ``error`` is None when it arrived. A failed one comes again after ``retry_s``."""

    delivery_id: int
    response_status: int | None
    error: str | None
    retry_s: float = 0.0


class WebhookQueue:
    """The queue, on the database's connections: the worker's side, which sees all projects."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect

    def active(self, projects: Collection[str]) -> list[Webhook]:
        """The webhooks of these projects that are to be told of events."""
        statement = select(webhooks).where(webhooks.c.is_active, webhooks.c.project.in_(projects))
        with self._connect() as connection:
            return [webhook_of(row) for row in connection.execute(statement)]

    def put(self, queued: Sequence[Queued]) -> None:
        """Queue events in this order. One that its webhook has or had in the queue changes nothing."""
        rows = [
            {
                "webhook_id": one.webhook_id,
                "project": one.project,
                "event_id": one.event_id,
                "event_type": one.event_type,
                "key": one.key,
                "body": one.body,
                "request_id": one.request_id,
                "request_index": one.request_index,
                "status": _PENDING,
                "attempts": 0,
            }
            for one in queued
        ]
        # Only for webhooks that are still there, and the row stays as long as this runs.
        with self._connect() as connection:
            there = select(webhooks.c.id).where(webhooks.c.id.in_({one.webhook_id for one in queued}))
            ids = set(connection.execute(there.with_for_update(read=True, key_share=True)).scalars())
            rows = [row for row in rows if row["webhook_id"] in ids]
            now = {name: func.now() for name in ("next_attempt_at", "created_at", "updated_at")}
            for begin in range(0, len(rows), _PUT_AT_A_TIME):
                part = [row | now for row in rows[begin : begin + _PUT_AT_A_TIME]]
                connection.execute(insert(webhook_deliveries).values(part).on_conflict_do_nothing())

    def claim(
        self, most: int, each: int, busy: Iterable[UUID], lease_s: float, *, large: bool = False
    ) -> list[tuple[Webhook, list[Delivery]]]:
        """Take deliveries that are due, by webhook: ``each`` of one webhook, ``most`` in all, none of the busy.

        Only those with a ``large`` body, or only the others. Nobody else gets them for ``lease_s`` seconds.
        """
        statement = _CLAIM_LARGE if large else _CLAIM_SMALL
        with self._connect() as connection:
            parameters = {"most": most, "each": each, "busy": list(busy), "lease": timedelta(seconds=lease_s)}
            claimed = [delivery_of(row, row.body.encode()) for row in connection.execute(statement, parameters)]
            rows = connection.execute(
                select(webhooks).where(webhooks.c.id.in_({delivery.webhook_id for delivery in claimed}))
            )
            found = [webhook_of(row) for row in rows]
        return [(webhook, [one for one in claimed if one.webhook_id == webhook.id]) for webhook in found]

    def settle(
        self, webhook_id: UUID, attempts: Sequence[Attempt], pause_s: Callable[[int], float] | None
    ) -> Webhook | None:
        """Write down how deliveries of a webhook went.

        When all of them failed, the webhook is left alone for ``pause_s(rounds that failed in a row)``, if given.
        Returns the webhook as it then is, None if it was removed.
        """
        arrived = [one.delivery_id for one in attempts if one.error is None]
        with self._connect() as connection:
            for one in attempts:
                connection.execute(_settled(one))
            mine = webhooks.c.id == webhook_id
            failures = connection.execute(select(webhooks.c.failures).where(mine).with_for_update()).scalar()
            if failures is None:
                return None
            state: dict[str, Any] = {"failing_since": func.coalesce(webhooks.c.failing_since, func.now())}
            if arrived:
                state = {"failures": 0, "failing_since": None, "next_attempt_at": func.now()}
            elif pause_s is not None:
                state["failures"] = failures + 1
                state["next_attempt_at"] = func.now() + timedelta(seconds=pause_s(failures + 1))
            statement = update(webhooks).where(mine).values(state).returning(webhooks)
            return webhook_of(connection.execute(statement).one())

    def disable(self, webhook_id: UUID, reason: str) -> None:
        """Tell a webhook no more, until its project makes it active again."""
        values = {"is_active": False, "disabled_reason": reason, "updated_at": func.now()}
        with self._connect() as connection:
            connection.execute(update(webhooks).where(webhooks.c.id == webhook_id).values(values))

    def prune(self, give_up_s: float, keep_s: float) -> int:
        """Give up what has waited too long, and remove what the log keeps no longer; returns how many rows."""
        table = webhook_deliveries.c
        late = (table.status == _PENDING) & (table.created_at < func.now() - timedelta(seconds=give_up_s))
        old = (table.status != _PENDING) & (table.created_at < func.now() - timedelta(seconds=keep_s))
        given_up = {
            "status": DeliveryStatus.FAILED.value,
            "body": None,
            "error": func.coalesce(table.error, "it waited too long"),
            "updated_at": func.now(),
        }
        with self._connect() as connection:
            done = 0
            for statement in (
                update(webhook_deliveries).where(table.id.in_(_some(late))).values(given_up),
                delete(webhook_deliveries).where(table.id.in_(_some(old))),
            ):
                done += connection.execute(statement).rowcount
            return done


def _some(condition: Any) -> Any:
    table = webhook_deliveries.c
    return select(table.id).where(condition).limit(_PRUNED_AT_A_TIME).with_for_update(skip_locked=True)


def _settled(attempt: Attempt) -> Any:
    table = webhook_deliveries.c
    values: dict[str, Any] = {
        "response_status": attempt.response_status,
        "error": attempt.error,
        "next_attempt_at": func.now() + timedelta(seconds=attempt.retry_s),
        "updated_at": func.now(),
    }
    statement = update(webhook_deliveries).where(table.id == attempt.delivery_id)
    if attempt.error is None:
        # Also what was given up while it was on its way: it arrived.
        return statement.values(values | {"status": DeliveryStatus.DELIVERED.value, "body": None})
    return statement.where(table.status == _PENDING).values(values)
