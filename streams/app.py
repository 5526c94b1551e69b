"""The Faust app: membership in the group, and records without Faust's own acknowledgements.

Faust keeps no account of what is done here (the topic has ``acks=False``): it would acknowledge records that
it skips during a rebalance, and commit them although nobody processed them. Offsets are committed by us
alone, after each batch.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Final

import faust
import structlog
from aiokafka import TopicPartition as AIOTopicPartition
from aiokafka.errors import (
    CommitFailedError,
    GroupAuthorizationFailedError,
    IllegalStateError,
    KafkaError,
    TopicAuthorizationFailedError,
)

from schemas.problems import MisconfiguredError, StoreUnavailableError
from streams.faust_app import App, ConsumerThread
from streams.faust_credentials import faust_credentials
from streams.records import Headers, Record, TopicPartition
from streams.settings import KafkaSettings
from streams.topics import Topics

#: No outage of a store may last longer, in seconds. A member that exceeds Kafka's poll interval leaves its
#: group, and Faust then never polls again: so the interval lies far above any wait of ours.
_MAX_POLL_INTERVAL_S: Final = 7 * 24 * 3600.0
#: How long leaving the group may take, in seconds. Then the others wait for the session to end.
_STOP_WITHIN_S: Final = 8.0

_log = structlog.get_logger(__name__)


class Stream:
    """The request topic as seen by this member of the group."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._commit_timeout_s = settings.request_timeout_s
        brokers = ";".join(f"kafka://{server.strip()}" for server in settings.bootstrap_servers.split(","))
        self.app = App(
            settings.group,
            broker=brokers,
            broker_credentials=faust_credentials(settings),
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

    async def stop(self) -> None:
        """Leave the group. What of Faust does not end in time is left to the end of the process."""
        stopping = asyncio.create_task(self.app.stop(), name="stop of Faust")
        await asyncio.wait({stopping}, timeout=_STOP_WITHIN_S)
        if not stopping.done():
            _log.warning("Faust does not stop", seconds=_STOP_WITHIN_S)
        elif not stopping.cancelled() and (error := stopping.exception()):
            _log.warning("Faust stopped with an error", exc_info=error)

    async def records(self, stream: faust.StreamT[bytes]) -> AsyncIterator[Record]:
        """The stream's records, raw, in log order within each partition."""
        async for event in stream.events():
            message = event.message
            # One that was under way while the partitions changed hands: it will be read again, in its place.
            if message.generation_id != self.app.consumer_generation_id:
                continue
            yield Record(
                topic=message.topic,
                partition=message.partition,
                offset=message.offset,
                timestamp=message.timestamp,
                key=message.key,
                value=message.value,
                headers=_header_items(message.headers),
            )

    def pause(self) -> None:
        """Fetch no more, of any partition. What was fetched already still comes."""
        # Not pause_partitions: that makes Faust skip, for good, what it has fetched and not yet handed over.
        consumer = self.app.consumer
        for partition in consumer.assignment():
            consumer.on_buffer_full(partition)

    def resume(self) -> None:
        """Fetch again."""
        consumer = self.app.consumer
        for partition in consumer.assignment():
            consumer.on_buffer_drop(partition)

    async def commit_skipped(self) -> None:
        """Commit what lies behind the last record and is none: ends of transactions, and what was in aborted ones.

        Without that, a group would be behind for ever. Raises what ``commit`` does.
        """
        thread = self.app.consumer._thread  # type: ignore[attr-defined]
        skipped = await thread.call_thread(self._skipped, thread)
        if skipped:
            await self.commit(skipped)

    async def _skipped(self, thread: ConsumerThread) -> dict[TopicPartition, int]:
        """Where the consumer stands in the partitions of which all records that it fetched were committed."""
        if thread.lost_track:
            return {}
        return {
            (tp.topic, tp.partition): position
            for tp, position in thread.positions().items()
            if thread.fetched.get(tp, 0) <= thread.committed.get(tp, 0) < position
        }

    async def commit(self, offsets: Mapping[TopicPartition, int]) -> bool:
        """Commit these offsets; False when the partitions were taken away in the meantime.

        Raises ``StoreUnavailableError`` when Kafka does not take them now, ``MisconfiguredError`` when it refuses.
        """
        # Not Faust's own commit, which makes the whole app crash at the first error.
        thread = self.app.consumer._thread  # type: ignore[attr-defined]
        done: bool = await thread.call_thread(self._commit, thread, offsets)
        return done

    async def _commit(self, thread: ConsumerThread, offsets: Mapping[TopicPartition, int]) -> bool:
        consumer = thread._ensure_consumer()
        assigned = consumer.assignment()
        owned = {AIOTopicPartition(*tp): offset for tp, offset in offsets.items() if tp in assigned}
        if not owned:
            return False
        try:
            # aiokafka itself would try for ever, and nobody would see that Kafka is away.
            async with asyncio.timeout(self._commit_timeout_s):
                await consumer.commit(owned)
        except (CommitFailedError, IllegalStateError):
            return False
        except (GroupAuthorizationFailedError, TopicAuthorizationFailedError) as error:
            raise MisconfiguredError(f"Kafka refuses to commit offsets: {error!r}") from error
        except (KafkaError, TimeoutError) as error:
            raise StoreUnavailableError("Kafka", f"committing offsets: {error!r}") from error
        thread.committed |= owned
        return True

    def is_member(self) -> bool:
        """Whether this process has joined its group and no rebalance is under way."""
        return self.app.started and not self.app.rebalancing and self.app.consumer_generation_id > 0

    def assignment(self) -> set[TopicPartition]:
        """The partitions of the request topic that this member reads."""
        return {(tp.topic, tp.partition) for tp in self.app.consumer.assignment()}


def _header_items(headers: Mapping[str, bytes | None] | Headers | None) -> Headers:
    if not headers:
        return ()
    return tuple(headers.items() if isinstance(headers, Mapping) else headers)
