"""Webhooks as they are after something was delivered to them."""

from __future__ import annotations

from infra.postgres import Database
from infra.postgres.webhook_queue import Attempt, Queued
from infra.webhooks import new_secret
from schemas.events import change_event
from schemas.webhooks import Delivery, Webhook


def delivered(database: Database, project: str, request_id: str) -> tuple[Webhook, Delivery]:
    """A new webhook that was told the first change of this request, and that delivery."""
    webhook = database.webhooks.create(
        project, name="w", url="https://x.example/", event_types=["memory_add"], secret=new_secret(), ids={}
    )
    outcome = database.outcome(project, request_id)
    assert outcome is not None
    event = change_event(database.request_history(project, request_id)[0], outcome)
    queue = database.webhook_queue
    queue.put([Queued(webhook.id, project, str(event.id), event.type, event.key, "{}", request_id, 0)])
    [(_, [delivery])] = queue.claim(1, 1, [], 60)
    queue.settle(webhook.id, [Attempt(delivery.id, 200, None)], lambda _: 0)
    return webhook, delivery
