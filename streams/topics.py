"""The three topics: their names and how they are made."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from schemas.problems import MisconfiguredError, StoreUnavailableError
from streams.closing import closed
from streams.security import client_options
from streams.settings import CLIENT_MAX_BYTES, REQUEST_TOPIC_MAX_BYTES, KafkaSettings

_POLL_S: Final = 0.05


@dataclass(frozen=True, slots=True)
class Topics:
    """The topics' names, prefix included."""

    requests: str
    events: str
    dead_letters: str

    @classmethod
    def of(cls, settings: KafkaSettings) -> Topics:
        prefix = settings.topic_prefix
        return cls(f"{prefix}memory-requests", f"{prefix}memory-events", f"{prefix}memory-dlq")


def topic_configs(settings: KafkaSettings) -> dict[str, dict[str, str]]:
    """By topic, the configuration that it is made with."""
    topics = Topics.of(settings)
    retention = str(settings.retention_hours * 3_600_000)
    limits = {
        topics.requests: REQUEST_TOPIC_MAX_BYTES,
        topics.events: CLIENT_MAX_BYTES,
        topics.dead_letters: CLIENT_MAX_BYTES,
    }
    # The brokers' time: Kafka would refuse what comes with a clock that is an hour ahead.
    common = {"retention.ms": retention, "message.timestamp.type": "LogAppendTime"}
    if settings.replication_factor > 1:
        # By Kafka's default a record is acknowledged that is on one broker only, while the others are behind.
        common["min.insync.replicas"] = str(settings.replication_factor - 1)
    return {name: {"max.message.bytes": str(limit), **common} for name, limit in limits.items()}


async def ensure_topics(settings: KafkaSettings) -> dict[str, bool]:
    """Make the topics that are missing.

    Returns each topic's name and whether it was made now, when all are there. An existing one is left as it is.
    Raises ``StoreUnavailableError`` when Kafka does not answer, ``MisconfiguredError`` when it refuses.
    """
    async with admin_client(settings) as admin:
        response = await admin.create_topics(
            [
                NewTopic(
                    name=name,
                    num_partitions=settings.partitions,
                    replication_factor=settings.replication_factor,
                    topic_configs=configs,
                )
                for name, configs in topic_configs(settings).items()
            ]
        )
        made = {}
        for name, code, *rest in response.topic_errors:
            refusal = for_code(code)
            if code and refusal is not TopicAlreadyExistsError:
                detail = rest[0] if rest else ""
                raise MisconfiguredError(f"Kafka refuses to make topic {name}: {refusal.__name__} {detail}")
            made[name] = not code
        # The brokers hear of a new topic a moment after it was made.
        try:
            async with asyncio.timeout(settings.request_timeout_s):
                while not made.keys() <= set(await admin.list_topics()):  # noqa: ASYNC110  # it happens in Kafka
                    await asyncio.sleep(_POLL_S)
        except TimeoutError as error:
            raise StoreUnavailableError("Kafka", f"no broker knows all of {', '.join(made)} yet") from error
    return made


async def missing_topics(settings: KafkaSettings) -> list[str]:
    """Those of the topics that Kafka does not have. Raises ``StoreUnavailableError``."""
    topics = Topics.of(settings)
    async with admin_client(settings) as admin:
        present = await admin.list_topics()
    return [name for name in (topics.requests, topics.events, topics.dead_letters) if name not in present]


async def partition_counts(settings: KafkaSettings) -> dict[str, int]:
    """How many partitions each of the cluster's topics has. Raises ``StoreUnavailableError``."""
    async with admin_client(settings) as admin:
        # All topics are asked for: asking for one that is missing would make it where Kafka is set so.
        return {topic["topic"]: len(topic["partitions"]) for topic in await admin.describe_topics()}


class _Admin(AIOKafkaAdminClient):  # type: ignore[misc]  # aiokafka has no types
    async def close(self) -> None:
        await closed(super().close())


def make_admin(settings: KafkaSettings) -> AIOKafkaAdminClient:
    """An admin client that is to be started."""
    return _Admin(**client_options(settings), request_timeout_ms=int(settings.request_timeout_s * 1000))


@asynccontextmanager
async def admin_client(settings: KafkaSettings) -> AsyncIterator[AIOKafkaAdminClient]:
    """A connected admin client; what Kafka raises in the block becomes ``StoreUnavailableError``."""
    admin = make_admin(settings)
    try:
        await admin.start()
        yield admin
    except KafkaError as error:
        raise StoreUnavailableError("Kafka", f"{settings.bootstrap_servers}: {error!r}") from error
    finally:
        await admin.close()
