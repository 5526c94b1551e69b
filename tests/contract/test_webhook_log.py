"""A delivery that is asked for again while what it belongs to goes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from agents.items import Item
from agents.stages.apply import apply
from infra.postgres import Database, PostgresSettings
from infra.postgres.webhook_queue import Attempt, Queued
from schemas.events import change_event
from schemas.problems import NotKeptError
from schemas.requests import MemoryRequest
from schemas.webhooks import Delivery, Webhook
from streams.records import Record


@pytest.fixture
def database(postgres_settings: PostgresSettings) -> Iterator[Database]:
    database = Database(postgres_settings)
    yield database
    database.close()


def delivered(database: Database) -> tuple[Webhook, Delivery]:
    """A webhook, and what it was told."""
    wanted = {"request_id": "r1", "op": "add", "project": "ours", "user_id": "alice", "text": "likes tea"}
    apply(database, [Item(Record("t", 0, 0, 0.0, None, b""), MemoryRequest.model_validate(wanted))])
    webhook = database.webhooks.create(
        "ours", name="w", url="https://x.example/", event_types=["memory_add"], secret="s", ids={}
    )
    outcome = database.outcome("ours", "r1")
    assert outcome is not None
    event = change_event(database.request_history("ours", "r1")[0], outcome)
    queue = database.webhook_queue
    queue.put([Queued(webhook.id, "ours", str(event.id), event.type, event.key, "{}", "r1", 0)])
    [(_, [delivery])] = queue.claim(1, 1, [], 60)
    queue.settle(webhook.id, [Attempt(delivery.id, 200, None)], lambda _: 0)
    return webhook, delivery


def test_a_line_that_was_removed_from_the_log_meanwhile_is_delivered_again(database: Database) -> None:
    _, delivery = delivered(database)
    assert database.webhook_queue.prune(give_up_s=60, keep_s=0) == 1
    again = database.webhook_log.redeliver(delivery, "ours", lambda _: "{}")
    assert again is not None
    assert (again.event_id, again.redelivery) == (delivery.event_id, 1)


def test_to_a_webhook_that_was_removed_meanwhile_nothing_is_delivered(database: Database) -> None:
    webhook, delivery = delivered(database)
    assert database.webhooks.remove("ours", webhook.id)
    with pytest.raises(NotKeptError):
        database.webhook_log.redeliver(delivery, "ours", lambda _: "{}")
