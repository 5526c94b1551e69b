"""Whether Kafka answers, asked on a connection of its own.

A broker answers the requests of a connection one after the other, so behind a consumer's fetch, which waits for
records, a question would wait too.
"""

from __future__ import annotations

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from schemas.problems import StoreUnavailableError
from streams.consumers import make_consumer
from streams.settings import KafkaSettings


class Broker:
    """Asks the leader of a topic's first partition for its end offset."""

    def __init__(self, settings: KafkaSettings, topic: str) -> None:
        self._settings = settings
        self._partition = TopicPartition(topic, 0)
        self._client: AIOKafkaConsumer | None = None

    async def start(self) -> None:
        """Connect unless connected; raises ``StoreUnavailableError`` when no broker answers."""
        if self._client is not None:
            return
        client = make_consumer(self._settings)
        try:
            await client.start()
        except BaseException as error:
            await client.stop()  # also what is cancelled while it connects
            if isinstance(error, KafkaError):
                raise StoreUnavailableError("Kafka", str(error)) from error
            raise
        self._client = client

    async def stop(self) -> None:
        """Disconnect; harmless when not connected."""
        client, self._client = self._client, None
        if client is not None:
            await client.stop()

    async def probe(self) -> None:
        """Return when the leader answers; raises ``StoreUnavailableError`` when it does not."""
        if self._client is None:
            raise StoreUnavailableError("Kafka", "not connected yet")
        try:
            await self._client.end_offsets([self._partition])
        except KafkaError as error:
            raise StoreUnavailableError("Kafka", repr(error)) from error
