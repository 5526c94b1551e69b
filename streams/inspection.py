"""Kafka as it is found: the cluster, our topics, the workers' group. Nothing is made or changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import (
    GroupCoordinatorNotAvailableError,
    GroupLoadInProgressError,
    NotCoordinatorForGroupError,
    for_code,
)
from aiokafka.protocol.admin import ApiVersionRequest
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_delay, wait_fixed

from schemas.problems import MisconfiguredError
from streams.consumers import open_consumer
from streams.settings import KafkaSettings
from streams.topics import Topics, admin_client

_FETCH: Final = 1
#: Kafka 4 no longer takes older requests of this kind, and Kafka 3 still does.
_LEAST_FETCH_OF_KAFKA_4: Final = 4

_NOT_YET: Final = (GroupCoordinatorNotAvailableError, GroupLoadInProgressError, NotCoordinatorForGroupError)
_RETRY_S: Final = 0.2


@dataclass(frozen=True, slots=True)
class Cluster:
    """How many brokers answer, and whether they are Kafka 4 or newer."""

    brokers: int
    is_kafka_4: bool


@dataclass(frozen=True, slots=True)
class TopicState:
    """A topic as it is. ``replicas`` and ``in_sync`` are those of its worst partition."""

    partitions: int
    replicas: int
    in_sync: int
    leaderless: int
    configs: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class GroupState:
    """A consumer group: Kafka's word for its state (``Stable`` when all is well), and its members."""

    state: str
    members: int


async def read_cluster(settings: KafkaSettings) -> Cluster:
    """Ask the brokers who they are. Raises ``StoreUnavailableError``."""
    async with admin_client(settings) as admin:
        brokers = (await admin.describe_cluster())["brokers"]
        # The client asks this when it connects and keeps the answer to itself.
        answer = await admin._send_request(ApiVersionRequest())
    least = {api: least for api, least, _most in answer.api_versions}
    return Cluster(len(brokers), least[_FETCH] >= _LEAST_FETCH_OF_KAFKA_4)


async def read_cluster_id(settings: KafkaSettings) -> str:
    """The name that the cluster gave itself when it was made. Raises ``StoreUnavailableError``."""
    async with admin_client(settings) as admin:
        return str((await admin.describe_cluster())["cluster_id"])


async def read_topics(settings: KafkaSettings) -> dict[str, TopicState]:
    """Those of our topics that exist. Raises ``StoreUnavailableError``, ``MisconfiguredError`` if not allowed."""
    topics = Topics.of(settings)
    async with admin_client(settings) as admin:
        # All topics are asked for: asking for one that is missing would make it where Kafka is set so.
        described = {topic["topic"]: topic["partitions"] for topic in await admin.describe_topics()}
        names = [name for name in (topics.requests, topics.events, topics.dead_letters) if name in described]
        return {name: _state(described[name], await _configs(admin, name)) for name in names}


def _state(partitions: list[dict[str, Any]], configs: dict[str, str]) -> TopicState:
    return TopicState(
        partitions=len(partitions),
        replicas=min(len(one["replicas"]) for one in partitions),
        in_sync=min(len(one["isr"]) for one in partitions),
        leaderless=sum(one["leader"] < 0 for one in partitions),
        configs=configs,
    )


async def _configs(admin: AIOKafkaAdminClient, topic: str) -> dict[str, str]:
    [answer] = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
    code, detail, _kind, _name, entries = answer.resources[0][:5]
    if code:
        problem = f"{for_code(code).__name__} {detail}"
        raise MisconfiguredError(f"Kafka does not tell the settings of topic {topic}: {problem}")
    return {entry[0]: entry[1] for entry in entries}


async def read_group(settings: KafkaSettings) -> GroupState:
    """The workers' group now. Raises ``StoreUnavailableError``."""
    async with admin_client(settings) as admin:
        # Where there never was a group, the first question makes Kafka begin to prepare for groups.
        async for attempt in AsyncRetrying(
            retry=retry_if_exception_type(_NOT_YET),
            wait=wait_fixed(_RETRY_S),
            stop=stop_after_delay(settings.request_timeout_s),
            reraise=True,
        ):
            with attempt:
                [answer] = await admin.describe_consumer_groups([settings.group])
                code, _group, state, _kind, _protocol, members, *_ = answer.groups[0]
                if code:
                    raise for_code(code)(f"group {settings.group}")
    return GroupState(state, len(members))


async def count_records(settings: KafkaSettings, topic: str, partitions: int) -> int:
    """How many records the topic keeps now. Raises ``StoreUnavailableError``."""
    every = [TopicPartition(topic, number) for number in range(partitions)]
    async with open_consumer(settings) as consumer:
        begin, end = await consumer.beginning_offsets(every), await consumer.end_offsets(every)
    return sum(end[one] - begin[one] for one in every)
