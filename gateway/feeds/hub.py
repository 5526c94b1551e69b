"""Live events: one bounded queue for each reader, so that a slow one harms only itself."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Final

from gateway.feeds.inbound import Arrival
from gateway.settings_feeds import FeedSettings
from infra.telemetry.metrics import FEEDS_CUT_OFF
from schemas.events import EventType
from schemas.inbound import InboundEvent

TOO_SLOW: Final = "You read too slowly. Nothing is lost: ask again from this cursor."
STOPPING: Final = "The gateway stops. Nothing is lost: ask again from this cursor."


class StreamEndedError(Exception):
    """A stream is over before its reader wished; ``cut_off``: because of the reader."""

    def __init__(self, detail: str, *, cut_off: bool = False) -> None:
        super().__init__(detail)
        self.detail = detail
        self.cut_off = cut_off


@dataclass(frozen=True, slots=True)
class FeedFilter:
    """What a reader wants: events of its project, of all the ids and one of the types named (none: any)."""

    project: str
    ids: dict[str, str] = field(default_factory=dict)
    types: frozenset[EventType] = frozenset()

    def matches(self, event: InboundEvent) -> bool:
        return (
            event.body.project == self.project
            and (not self.types or event.type in self.types)
            and self.ids.items() <= event.ids.items()
        )


class Feed:
    """One reader's queue, bounded by events and by bytes."""

    def __init__(self, wanted: FeedFilter, capacity: int, capacity_bytes: int) -> None:
        self.wanted = wanted
        self._capacity_bytes = capacity_bytes
        self._bytes = 0
        self._queue: asyncio.Queue[Arrival | None] = asyncio.Queue(capacity)
        self._ended: StreamEndedError | None = None

    @property
    def is_drained(self) -> bool:
        """Whether the reader has had all that came so far."""
        return self._ended is None and self._queue.empty()

    async def next(self) -> Arrival:
        """The next event; raises ``StreamEndedError`` when the stream is over."""
        arrival = await self._queue.get()
        if arrival is None:
            assert self._ended is not None
            raise self._ended
        self._bytes -= len(arrival.event.value)
        return arrival

    def offer(self, arrival: Arrival) -> None:
        """Queue the event if the reader wants it; end the stream when there is no room."""
        if self._ended or not self.wanted.matches(arrival.event):
            return
        size = len(arrival.event.value)
        # One event always fits, however large.
        if self._queue.full() or (self._bytes and self._bytes + size > self._capacity_bytes):
            FEEDS_CUT_OFF.inc()
            self.end(StreamEndedError(TOO_SLOW, cut_off=True))
            return
        self._bytes += size
        self._queue.put_nowait(arrival)

    def end(self, reason: StreamEndedError) -> None:
        """End the stream at once: what still waits is dropped, the reader's cursor stands before it."""
        if self._ended:
            return
        self._ended = reason
        while not self._queue.empty():
            self._queue.get_nowait()
        self._queue.put_nowait(None)


class Feeds:
    """All live streams of this gateway, by project."""

    def __init__(self, settings: FeedSettings) -> None:
        self._settings = settings
        self._feeds: dict[str, set[Feed]] = {}

    @property
    def capacity(self) -> int:
        """How many events may wait for a new reader."""
        return self._settings.feed_queue

    def __len__(self) -> int:
        return sum(map(len, self._feeds.values()))

    def attach(self, wanted: FeedFilter) -> Feed:
        """A queue of all that comes from now on, until it is detached."""
        feed = Feed(wanted, self._settings.feed_queue, self._settings.feed_queue_bytes)
        self._feeds.setdefault(wanted.project, set()).add(feed)
        return feed

    def detach(self, feed: Feed) -> None:
        """Forget the queue."""
        mine = self._feeds[feed.wanted.project]
        mine.remove(feed)
        if not mine:
            del self._feeds[feed.wanted.project]

    def deliver(self, arrival: Arrival) -> None:
        """Give an event to all of its project who want it; never waits."""
        for feed in self._feeds.get(arrival.event.body.project, ()):
            feed.offer(arrival)

    def end_all(self) -> None:
        """End every stream, for a stop."""
        for feeds in self._feeds.values():
            for feed in feeds:
                feed.end(StreamEndedError(STOPPING))
