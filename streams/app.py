"""The Faust app: membership in the group, and records without Faust's own acknowledgements.

Faust keeps no account of what is done here (the topic has ``acks=False``): it would acknowledge records that
it skips during a rebalance, and commit them although nobody processed them. Offsets are committed by us
alone, after each batch.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Final

import faust
from faust.types import TP

from streams.records import Record, TopicPartition
from streams.settings import KafkaSettings
from streams.topics import Topics

#: No outage of a store may last longer, in seconds. A member that exceeds Kafka's poll interval leaves its
#: group, and Faust then never polls again: so the interval lies far above any wait of ours.
_MAX_POLL_INTERVAL_S: Final = 7 * 24 * 3600.0


class Stream:
    """The request topic as seen by this member of the group."""

    def __init__(self, settings: KafkaSettings) -> None:
        brokers = ";".join(f"kafka://{server.strip()}" for server in settings.bootstrap_servers.split(","))
        self.app = faust.App(
            settings.group,
            broker=brokers,
            autodiscover=False,
            web_enabled=False,
            topic_allow_declare=False,
            topic_disable_leader=True,
            store="memory://",
            consumer_auto_offset_reset="earliest",
            broker_session_timeout=settings.session_timeout_s,
            broker_heartbeat_interval=settings.session_timeout_s / 5,
            broker_rebalance_timeout=settings.session_timeout_s * 2,
            broker_request_timeout=max(settings.request_timeout_s, settings.session_timeout_s),
            broker_max_poll_interval=_MAX_POLL_INTERVAL_S,
            # A wait of ours is no livelock: what Faust would warn about is the stores' outage that we log.
            broker_commit_livelock_soft_timeout=_MAX_POLL_INTERVAL_S,
            stream_processing_timeout=_MAX_POLL_INTERVAL_S,
            # A batch in hand is dropped at a rebalance, not waited for: that would hold up the whole group.
            stream_wait_empty=False,
            # The window takes records as they come and pauses by bytes; this queue only passes them on.
            stream_buffer_maxsize=1_000_000,
        )
        self.topic = self.app.topic(
            Topics.of(settings).requests,
            key_type=bytes,
            value_type=bytes,
            key_serializer="raw",
            value_serializer="raw",
            acks=False,
        )

    @staticmethod
    async def records(stream: faust.StreamT[bytes]) -> AsyncIterator[Record]:
        """The stream's records, raw, in log order within each partition."""
        async for event in stream.events():
            message = event.message
            yield Record(
                topic=message.topic,
                partition=message.partition,
                offset=message.offset,
                timestamp=message.timestamp,
                key=message.key,
                value=message.value,
                headers=tuple(_header_items(message.headers)),
            )

    def pause(self) -> None:
        """Fetch no more, of any partition."""
        consumer = self.app.consumer
        consumer.pause_partitions(consumer.assignment())

    def resume(self) -> None:
        """Fetch again."""
        consumer = self.app.consumer
        consumer.resume_partitions(consumer.assignment())

    async def commit(self, offsets: Mapping[TopicPartition, int]) -> bool:
        """Commit these offsets; False when the partitions were taken away in the meantime."""
        committed: bool = await self.app.consumer._commit(  # type: ignore[attr-defined]
            {TP(topic, partition): offset for (topic, partition), offset in offsets.items()}
        )
        return committed

    def is_member(self) -> bool:
        """Whether this process has joined its group and no rebalance is under way."""
        return self.app.started and not self.app.rebalancing and self.app.consumer_generation_id > 0

    def assignment(self) -> set[TopicPartition]:
        """The partitions of the request topic that this member reads."""
        return {(tp.topic, tp.partition) for tp in self.app.consumer.assignment()}


def _header_items(
    headers: Mapping[str, bytes] | list[tuple[str, bytes]] | None,
) -> list[tuple[str, bytes]]:
    if not headers:
        return []
    items = headers.items() if isinstance(headers, Mapping) else headers
    return [(name, value if value is not None else b"") for name, value in items]
