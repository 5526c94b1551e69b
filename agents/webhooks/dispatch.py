"""From the queue to the receivers: each scope in order, each webhook by itself, with patience and an end."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from contextlib import suppress
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


class Dispatch:
    """Delivers what is due: only what has a ``large`` body, or only the rest.

    What a worker had under way when it died is delivered again.
    """

    def __init__(self, queue: WebhookQueue, settings: WebhookSettings, *, large: bool = False) -> None:
        self._queue = queue
        self._settings = settings
        self._large = large
        self._news = asyncio.Event()
        #: The webhooks that are being delivered to, with how many deliveries.
        self._busy: dict[UUID, int] = {}

    def wake(self) -> None:
        """Look at once: something was queued."""
        self._news.set()

    async def run(self) -> None:
        """Deliver until cancelled."""
        async with Sender(self._settings) as sender, asyncio.TaskGroup() as tasks:
            while True:
                self._news.clear()
                claimed = await self._claim()
                for webhook, deliveries in claimed:
                    self._busy[webhook.id] = len(deliveries)
                    tasks.create_task(self._deliver(sender, webhook, deliveries))
                if not claimed:
                    # Not wait_for: until Python 3.12 that loses a cancellation which comes together with the news.
                    with suppress(TimeoutError):
                        async with asyncio.timeout(_POLL_S):
                            await self._news.wait()

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

    async def _claim(self) -> list[tuple[Webhook, list[Delivery]]]:
        settings, busy = self._settings, list(self._busy)
        most, each = (_LARGE, 1) if self._large else (settings.parallel, settings.parallel_each)
        free = most - sum(self._busy.values())
        if free <= 0:
            return []
        claim = partial(self._queue.claim, free, each, busy, settings.timeout_s + _LEASE_S, large=self._large)
        try:
            return await asyncio.to_thread(claim)
        except StoreUnavailableError as error:
            _log.debug("webhook deliveries put off", problem=str(error))
            return []

    async def _deliver(self, sender: Sender, webhook: Webhook, deliveries: Sequence[Delivery]) -> None:
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
            state = await asyncio.to_thread(self._queue.settle, webhook.id, attempts, self._pause_s)
            reason = self._reason_to_disable(state, attempts, gone=any(answer.is_gone for answer in answers))
            if state is not None and reason is not None:
                await asyncio.to_thread(self._queue.disable, webhook.id, reason)
                WEBHOOKS_DISABLED.inc()
                _log.warning("webhook disabled", webhook=str(webhook.id), project=webhook.project, reason=reason)
        except StoreUnavailableError as error:
            # Nobody knows that it was delivered: it will be again.
            _log.warning("a webhook's deliveries cannot be written down", problem=str(error))
        finally:
            del self._busy[webhook.id]
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
