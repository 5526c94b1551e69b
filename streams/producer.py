"""The one way in which we write to Kafka: acknowledged by all replicas."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Final, Self

from aiokafka import AIOKafkaProducer
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaConnectionError, KafkaError, MessageSizeTooLargeError

from schemas.problems import BatchRejectedError, StoreUnavailableError
from streams.closing import closed
from streams.records import Headers
from streams.security import client_options
from streams.settings import CLIENT_MAX_BYTES, KIB, KafkaSettings

#: What a producer sends at a time of a partition, at most: one request is in flight, so all else waits for it.
BATCH_BYTES: Final = 512 * KIB
#: Between two questions to a cluster of which no broker answers.
_METADATA_PAUSE_S: Final = 0.5


class Producer:
    """A producer with ``acks=all`` and Java's partitioner (murmur2 of the key).

    It is not Kafka's idempotent producer: that one fails for good after a gap in its sequence, while what we
    send carries ids of its own and may come twice. Order holds: one request per partition is in flight.

    But only while none is lost: what times out is given up, and what waits behind it is sent nonetheless. Who
    needs the order hands over less than ``BATCH_BYTES`` and waits until all is acknowledged: it goes as one.

    Must be started in the event loop that uses it: ``start`` and ``stop``, or ``async with``.
    """

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._producer: AIOKafkaProducer | None = None

    async def start(self) -> None:
        """Connect; raises ``StoreUnavailableError`` when no broker answers."""
        producer = AIOKafkaProducer(
            **client_options(self._settings),
            request_timeout_ms=int(self._settings.request_timeout_s * 1000),
            acks="all",
            max_request_size=CLIENT_MAX_BYTES,
            max_batch_size=BATCH_BYTES,
            linger_ms=0,
        )
        _make_patient(producer.client)
        try:
            await producer.start()
        except BaseException as error:
            await closed(producer.stop())  # also what is cancelled while it connects
            if isinstance(error, KafkaConnectionError):
                raise StoreUnavailableError("Kafka", str(error)) from error
            raise
        self._producer = producer

    async def stop(self) -> None:
        """Send what is pending, then disconnect; what Kafka does not take in time is not acknowledged."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await closed(producer.stop())

    async def send(
        self, topic: str, *, key: bytes | None, value: bytes | None, headers: Headers = ()
    ) -> asyncio.Future[object]:
        """Hand over one record, waiting while the buffer is full; the future resolves when it is acknowledged.

        Raises ``StoreUnavailableError``, or ``BatchRejectedError`` for a record that is too large.
        """
        if self._producer is None:
            raise StoreUnavailableError("Kafka", "the producer is not connected")
        try:
            future: asyncio.Future[object] = await self._producer.send(
                topic, key=key, value=value, headers=list(headers)
            )
        except MessageSizeTooLargeError as error:
            raise BatchRejectedError(f"a record of {topic} is too large for Kafka: {error}") from error
        except KafkaError as error:
            raise StoreUnavailableError("Kafka", f"{topic}: {error!r}") from error
        return future

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()


def _make_patient(client: AIOKafkaClient) -> None:
    # While no broker answers, the producer asks for the topics' leaders again without a pause: a busy loop.
    update = client._metadata_update

    async def update_or_pause(*arguments: Any) -> bool:
        updated: bool = await update(*arguments)
        if not updated:
            await asyncio.sleep(_METADATA_PAUSE_S)
        return updated

    client._metadata_update = update_or_pause


async def acknowledged(futures: Sequence[asyncio.Future[object]]) -> None:
    """Wait until every record is acknowledged; raises ``StoreUnavailableError`` if one is not."""
    results = await asyncio.gather(*futures, return_exceptions=True)
    for result in results:
        if isinstance(result, KafkaError):
            raise StoreUnavailableError("Kafka", f"a record was not acknowledged: {result!r}") from result
        if isinstance(result, BaseException):
            raise result
