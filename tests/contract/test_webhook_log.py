"""A delivery that is asked for again while what it belongs to goes."""

from __future__ import annotations

import pytest

from agents.stages.apply import apply
from infra.postgres import Database
from schemas.problems import NotKeptError
from schemas.requests import MemoryRequest
from schemas.webhooks import Delivery, Webhook
from tests.harness.items import item
from tests.harness.webhooks import delivered


def told(database: Database) -> tuple[Webhook, Delivery]:
    """A webhook, and what it was told."""
    wanted = {"request_id": "r1", "op": "add", "project": "ours", "user_id": "alice", "text": "likes tea"}
    apply(database, [item(MemoryRequest.model_validate(wanted))])
    return delivered(database, "ours", "r1")


def test_a_line_that_was_removed_from_the_log_meanwhile_is_delivered_again(database: Database) -> None:
    _, delivery = told(database)
    assert database.webhook_queue.prune(give_up_s=60, keep_s=0) == 1
    again = database.webhook_log.redeliver(delivery, "ours", lambda _: "{}")
    assert again is not None
    assert (again.event_id, again.redelivery) == (delivery.event_id, 1)


def test_to_a_webhook_that_was_removed_meanwhile_nothing_is_delivered(database: Database) -> None:
    webhook, delivery = told(database)
    assert database.webhooks.remove("ours", webhook.id)
    with pytest.raises(NotKeptError):
        database.webhook_log.redeliver(delivery, "ours", lambda _: "{}")
