"""The dispatch of webhooks as a task of a worker."""

from __future__ import annotations

import asyncio
from contextlib import closing

import pytest

from agents.webhooks.dispatch import Dispatch
from infra.postgres import Database, PostgresSettings
from infra.webhooks import WebhookSettings

WITHIN_S = 30


@pytest.mark.parametrize("steps", range(4))
async def test_who_is_cancelled_right_after_news_ends(postgres_settings: PostgresSettings, steps: int) -> None:
    """Else a worker told to stop while it delivers would go on for ever, and its partitions would stand still."""
    with closing(Database(postgres_settings)) as database:
        dispatch = Dispatch(database.webhook_queue, WebhookSettings())
        task = asyncio.create_task(dispatch.run())
        async with asyncio.timeout(WITHIN_S):
            while not all(lane.news._waiters for lane in dispatch._lanes):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        dispatch.wake()
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        done, _ = await asyncio.wait({task}, timeout=WITHIN_S)
        task.cancel()  # it ends in any case
        await asyncio.wait({task}, timeout=WITHIN_S)
        assert done
