"""Events on their way to webhooks: from Kafka into a queue in Postgres, and from there to the receivers."""

from __future__ import annotations

import asyncio

from agents.webhooks.dispatch import Dispatch
from agents.webhooks.intake import Intake
from infra.postgres import Database
from infra.webhooks import WebhookSettings
from streams.settings import KafkaSettings


async def run_webhooks(kafka: KafkaSettings, database: Database, settings: WebhookSettings) -> None:
    """Queue events and deliver them, for ever. What is down is waited for."""
    dispatch = Dispatch(database.webhook_queue, settings)
    intake = Intake(kafka, database.webhook_queue, dispatch.wake)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(intake.run(), name="webhook intake")
        tasks.create_task(dispatch.run(), name="webhook dispatch")
        tasks.create_task(dispatch.run_pruning(), name="webhook pruning")
