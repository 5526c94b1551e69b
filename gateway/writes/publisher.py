"""From an accepted request to Kafka, and back to the caller that waits for it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from contextvars import ContextVar
from typing import Final

from gateway.http.problems import ApiError
from gateway.settings import GatewaySettings
from gateway.threads import Call
from gateway.writes.progress import Progress, names_changes, progress_of_rows
from gateway.writes.waiters import Waiter, Waiters
from infra.postgres import Database
from infra.telemetry.metrics import PUBLISHED, WAITS
from schemas.history import RequestOutcome, RequestStatus
from schemas.problems import RecordRejectedError, StoreUnavailableError
from schemas.requests import MemoryRequest
from schemas.sizes import oversize
from streams.producer import Producer, acknowledged
from streams.settings import KafkaSettings
from streams.topics import Topics

log = logging.getLogger(__name__)

#: The trace context of the call in hand, which its requests carry on to Kafka.
TRACEPARENT: Final[ContextVar[str | None]] = ContextVar("traceparent", default=None)
_ENDED: Final = (RequestStatus.SUCCEEDED, RequestStatus.FAILED)


class Publisher:
    """Notes a request in Postgres, then publishes it: its status is true from the first moment on.

    While Kafka is known to be away nothing is accepted. What was accepted and could not be published stays
    PENDING: a worker publishes it later, and a caller that repeated it would get it twice.
    """

    def __init__(
        self,
        settings: GatewaySettings,
        kafka: KafkaSettings,
        producer: Producer,
        database: Database,
        call: Call,
        waiters: Waiters,
        kafka_is_up: Callable[[], bool],
    ) -> None:
        self._settings = settings
        self._max_bytes = kafka.request_max_bytes
        self._topic = Topics.of(kafka).requests
        self._producer = producer
        self._database = database
        self._call = call
        self._waiters = waiters
        self._kafka_is_up = kafka_is_up

    async def submit(self, request: MemoryRequest) -> Progress:
        """Publish and return at once. The same request again is not published once it has ended."""
        [outcome], _ = await self._accept_and_publish([request])
        return Progress(outcome.status)

    async def submit_and_wait(self, request: MemoryRequest) -> Progress:
        """Publish and wait for the events; at the timeout, what Postgres says by then."""
        return (await self.submit_all_and_wait([request]))[0]

    async def submit_all_and_wait(self, requests: Sequence[MemoryRequest]) -> list[Progress]:
        """:meth:`submit_and_wait` of requests of one project, of all or, when it raises, of none."""
        with ExitStack() as stack:
            waiters = [
                stack.enter_context(self._waiters.waiting(request.project, request.request_id))
                for request in requests
            ]
            outcomes, published = await self._accept_and_publish(requests)
            open_ones = [w.done for w, o in zip(waiters, outcomes, strict=True) if o.status not in _ENDED]
            if published and open_ones:
                await asyncio.wait(open_ones, timeout=self._settings.wait_timeout_s)
            answers = zip(requests, waiters, outcomes, strict=True)
            return list(await asyncio.gather(*(self._answer(*answer) for answer in answers)))

    async def progress(self, project: str, request_id: str) -> Progress | None:
        """How far a request has come, and what it changed; None when the project has no such request."""
        outcome = await self._call(self._database.outcome, project, request_id)
        return None if outcome is None else await self._with_changes(outcome)

    async def _answer(self, request: MemoryRequest, waiter: Waiter, outcome: RequestOutcome) -> Progress:
        if waiter.done.done():
            WAITS.labels("events").inc()
            return waiter.done.result()
        known = await self._call(self._database.outcome, request.project, request.request_id)
        outcome = known or outcome
        progress = await self._with_changes(outcome) if names_changes(request.op) else progress_of_rows(outcome)
        WAITS.labels("outcome" if progress.status in _ENDED else "nothing").inc()
        return progress

    async def _with_changes(self, outcome: RequestOutcome) -> Progress:
        return progress_of_rows(outcome, await self._call(self._database.browsing.changes, *outcome.key))

    async def _accept_and_publish(self, requests: Sequence[MemoryRequest]) -> tuple[list[RequestOutcome], bool]:
        values = [request.to_json() for request in requests]
        if (size := max(map(len, values))) > self._max_bytes:
            raise ApiError(413, "too_large", f"The request takes {size} bytes of the {self._max_bytes} allowed.")
        for problem in filter(None, map(oversize, requests)):
            raise ApiError(413, "too_large", f"{problem[0].upper()}{problem[1:]}. Send fewer messages at a time.")
        if not self._kafka_is_up():
            raise StoreUnavailableError("Kafka", "requests cannot be published now")
        try:
            outcomes = await self._call(self._database.accept_all, requests)
        except RecordRejectedError as error:
            raise ApiError(
                422, "idempotency_key_reused", "This Idempotency-Key was used for another request."
            ) from error
        due = [
            (request.scope.key.encode(), value)
            for request, value, outcome in zip(requests, values, outcomes, strict=True)
            if outcome.status is RequestStatus.ACCEPTED
        ]
        return outcomes, await self._publish(due)

    async def _publish(self, records: Sequence[tuple[bytes, bytes]]) -> bool:
        trace = TRACEPARENT.get()
        headers = [("traceparent", trace.encode())] if trace else []
        try:
            async with asyncio.timeout(self._settings.publish_timeout_s):
                sent = [
                    await self._producer.send(self._topic, key=key, value=value, headers=headers)
                    for key, value in records
                ]
                await acknowledged(sent)
        except (StoreUnavailableError, TimeoutError) as error:
            PUBLISHED.labels("failed").inc(len(records))
            log.warning("%d accepted requests wait to be published by a worker: %s", len(records), error)
            return False
        PUBLISHED.labels("ok").inc(len(records))
        return True
