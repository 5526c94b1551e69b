"""From an accepted request to Kafka, and back to the caller that waits for it."""

from __future__ import annotations

import asyncio
from typing import Final

import orjson

from gateway.metrics import PUBLISHED, WAITS
from gateway.problems import ApiError
from gateway.progress import Progress, progress_of_events, progress_of_rows
from gateway.settings import GatewaySettings
from gateway.threads import Call
from gateway.waiters import Waiters
from infra.postgres import Database
from schemas.history import RequestOutcome, RequestStatus
from schemas.problems import RecordRejectedError, StoreUnavailableError
from schemas.requests import SCHEMA_VERSION, MemoryRequest
from streams.producer import Producer, acknowledged
from streams.settings import KafkaSettings
from streams.topics import Topics

_ENDED: Final = (RequestStatus.SUCCEEDED, RequestStatus.FAILED)


class Publisher:
    """Notes a request in Postgres, then publishes it: its status is true from the first moment on."""

    def __init__(
        self,
        settings: GatewaySettings,
        kafka: KafkaSettings,
        producer: Producer,
        database: Database,
        call: Call,
        waiters: Waiters,
    ) -> None:
        self._settings = settings
        self._max_bytes = kafka.request_max_bytes
        self._topic = Topics.of(kafka).requests
        self._producer = producer
        self._database = database
        self._call = call
        self._waiters = waiters

    async def submit(self, request: MemoryRequest) -> Progress:
        """Publish and return at once. The same request again is not published once it has ended."""
        outcome = await self._accept_and_publish(request)
        return Progress(outcome.status)

    async def submit_and_wait(self, request: MemoryRequest) -> Progress:
        """Publish and wait for the events; at the timeout, what Postgres says by then."""
        with self._waiters.waiting(request.project, request.request_id) as waiter:
            outcome = await self._accept_and_publish(request)
            if outcome.status not in _ENDED:
                try:
                    async with asyncio.timeout(self._settings.wait_timeout_s):
                        progress = progress_of_events(await waiter.done)
                    WAITS.labels("events").inc()
                    return progress
                except TimeoutError:
                    pass  # answered below by what Postgres says
        progress = await self.progress(request.project, request.request_id) or Progress(outcome.status)
        WAITS.labels("outcome" if progress.status in _ENDED else "nothing").inc()
        return progress

    async def progress(self, project: str, request_id: str) -> Progress | None:
        """How far a request has come; None when the project has no such request."""
        outcome = await self._call(self._database.outcome, project, request_id)
        if outcome is None:
            return None
        entries = await self._call(self._database.request_history, project, request_id)
        return progress_of_rows(outcome, entries)

    async def _accept_and_publish(self, request: MemoryRequest) -> RequestOutcome:
        value = record_value(request)
        if len(value) > self._max_bytes:
            raise ApiError(
                413, "too_large", f"The request takes {len(value)} bytes of the {self._max_bytes} allowed."
            )
        try:
            outcome = await self._call(self._database.accept, request)
        except RecordRejectedError as error:
            raise ApiError(
                422, "idempotency_key_reused", "This Idempotency-Key was used for another request."
            ) from error
        if outcome.status is RequestStatus.ACCEPTED:
            await self._publish(request, value)
        return outcome

    async def _publish(self, request: MemoryRequest, value: bytes) -> None:
        try:
            async with asyncio.timeout(self._settings.publish_timeout_s):
                future = await self._producer.send(self._topic, key=request.scope.key.encode(), value=value)
                await acknowledged([future])
        except (StoreUnavailableError, TimeoutError) as error:
            PUBLISHED.labels("failed").inc()
            raise ApiError(
                503,
                "unavailable",
                "Kafka did not acknowledge the request; repeat it with the Idempotency-Key of the first try.",
                headers={"Retry-After": str(self._settings.retry_after_s)},
                event_id=request.request_id,
            ) from error
        PUBLISHED.labels("ok").inc()


def record_value(request: MemoryRequest) -> bytes:
    """The request as the value of a ``memory-requests`` record."""
    return orjson.dumps({"schema_version": SCHEMA_VERSION, **request.canonical()})
