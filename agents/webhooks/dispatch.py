"""From the queue to the receivers: each scope in order, each webhook by itself, with patience and an end."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final
from uuid import UUID

import structlog

from infra.postgres.webhook_queue import Attempt, WebhookQueue
from infra.telemetry.metrics import WEBHOOK_ATTEMPTS, WEBHOOKS_DISABLED
from infra.webhooks import WebhookSettings
from infra.webhooks.sender import Sender
from schemas.problems import StoreUnavailableError
from schemas.webhooks import Delivery, Webhook

_log = structlog.get_logger(__name__)

#: How long nothing is looked for when nothing was due, unless something new is queued here.
_POLL_S: Final = 0.5
#: Beyond the time that a post may take: a worker that died had it, then another may.
_LEASE_S: Final = 30.0
_PRUNE_S: Final = 60.0
#: Large deliveries under way at most, each of a few MB. Not all to one webhook: its receiver may be slow.
_LARGE: Final = 2
_DOUBLINGS_MAX: Final = 30


@dataclass(eq=False)
class _Lane:
    """What has a ``large`` body, or all the rest."""

    large: bool
    news: asyncio.Event = field(default_factory=asyncio.Event)
    #: The webhooks that are being delivered to, with how many deliveries.
    busy: dict[UUID, int] = field(default_factory=dict)


class Dispatch:
    """Delivers what is due. What a worker had under way when it died is delivered again."""

    def __init__(self, queue: WebhookQueue, settings: WebhookSettings) -> None:
        self._queue = queue
        self._settings = settings
        self._lanes = _Lane(large=False), _Lane(large=True)

    def wake(self) -> None:
        """Look at once: something was queued."""
        for lane in self._lanes:
            lane.news.set()

    async def run(self) -> None:
        """Deliver until cancelled."""
        async with Sender(self._settings) as sender, asyncio.TaskGroup() as tasks:
            for lane in self._lanes:
                tasks.create_task(self._run(lane, sender, tasks))

    async def _run(self, lane: _Lane, sender: Sender, tasks: asyncio.TaskGroup) -> None:
        while True:
            lane.news.clear()
            claimed = await self._claim(lane)
            for webhook, deliveries in claimed:
                lane.busy[webhook.id] = len(deliveries)
                tasks.create_task(self._deliver(lane, sender, webhook, deliveries))
            if not claimed:
                # Not wait_for: until Python 3.12 that loses a cancellation which comes together with the news.
                with suppress(TimeoutError):
                    async with asyncio.timeout(_POLL_S):
                        await lane.news.wait()

    async def run_pruning(self) -> None:
        """Keep the log short, and give up what has waited too long, until cancelled."""
        while True:
            give_up_s, keep_s = self._settings.give_up_h * 3_600, self._settings.log_days * 86_400
            try:
                pruned = await asyncio.to_thread(self._queue.prune, give_up_s, keep_s)
            except StoreUnavailableError as error:
                _log.debug("pruning of webhook deliveries put off", problem=str(error))
                pruned = 0
            if not pruned:
                await asyncio.sleep(_PRUNE_S)

    async def _claim(self, lane: _Lane) -> list[tuple[Webhook, list[Delivery]]]:
        settings, busy = self._settings, list(lane.busy)
        most, each = (_LARGE, 1) if lane.large else (settings.parallel, settings.parallel_each)
        free = most - sum(lane.busy.values())
        if free <= 0:
            return []
        claim = partial(self._queue.claim, free, each, busy, settings.timeout_s + _LEASE_S, large=lane.large)
        try:
            return await asyncio.to_thread(claim)
        except StoreUnavailableError as error:
            _log.debug("webhook deliveries put off", problem=str(error))
            return []

    async def _deliver(
        self, lane: _Lane, sender: Sender, webhook: Webhook, deliveries: Sequence[Delivery]
    ) -> None:
        try:
            answers = await asyncio.gather(
                *(sender.post(webhook.url, webhook.secrets, one.event_id, one.body or b"") for one in deliveries)
            )
            attempts = [
                Attempt(one.id, answer.status, answer.error, self._pause_s(one.attempts))
                for one, answer in zip(deliveries, answers, strict=True)
            ]
            for attempt in attempts:
                WEBHOOK_ATTEMPTS.labels("failed" if attempt.error else "delivered").inc()
            # A receiver may take no large bodies and all others: those are not to wait.
            pause_s = None if lane.large else self._pause_s
            state = await asyncio.to_thread(self._queue.settle, webhook.id, attempts, pause_s)
            reason = self._reason_to_disable(state, attempts, gone=any(answer.is_gone for answer in answers))
            if state is not None and reason is not None:
                await asyncio.to_thread(self._queue.disable, webhook.id, reason)
                WEBHOOKS_DISABLED.inc()
                _log.warning("webhook disabled", webhook=str(webhook.id), project=webhook.project, reason=reason)
        except StoreUnavailableError as error:
            # Nobody knows that it was delivered: it will be again.
            _log.warning("a webhook's deliveries cannot be written down", problem=str(error))
        finally:
            del lane.busy[webhook.id]
            self.wake()

    def _reason_to_disable(
        self, webhook: Webhook | None, attempts: Sequence[Attempt], *, gone: bool
    ) -> str | None:
        if gone:
            return "the receiver answered 410: it wants nothing any more"
        if webhook is None or webhook.failing_since is None:
            return None
        limit = timedelta(hours=self._settings.disable_h)
        if datetime.now(UTC) - webhook.failing_since < limit:
            return None
        last = next(attempt.error for attempt in reversed(attempts) if attempt.error)
        return f"no delivery arrived for {self._settings.disable_h:g} hours; the last error: {last}"

    def _pause_s(self, failures: int) -> float:
        """How long to wait after so many failures in a row: doubled each time, spread a little."""
        doubled = self._settings.retry_first_s * 2.0 ** min(failures - 1, _DOUBLINGS_MAX)
        return min(doubled, self._settings.retry_longest_s) * random.uniform(0.8, 1.2)  # noqa: S311  # no secret
