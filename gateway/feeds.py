"""Live streams of events: one bounded queue for each reader, so that a slow one harms only itself."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from gateway.inbound import InboundEvent
from gateway.metrics import FEEDS, FEEDS_CUT_OFF
from gateway.problems import ApiError
from schemas.events import EventType


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
    """One reader's queue."""

    def __init__(self, wanted: FeedFilter, capacity: int) -> None:
        self._filter = wanted
        self._queue: asyncio.Queue[InboundEvent | None] = asyncio.Queue(capacity)
        self._ended = False
        self.cut_off = False

    async def next(self) -> InboundEvent | None:
        """The next event; None when the stream is over: see ``cut_off`` for whether the reader was too slow."""
        return await self._queue.get()

    def offer(self, event: InboundEvent) -> None:
        if self._ended or not self._filter.matches(event):
            return
        if self._queue.full():
            self.cut_off = True
            FEEDS_CUT_OFF.inc()
            self.end()
            return
        self._queue.put_nowait(event)

    def end(self) -> None:
        """End the stream at once: what still waits is dropped."""
        if self._ended:
            return
        self._ended = True
        while not self._queue.empty():
            self._queue.get_nowait()
        self._queue.put_nowait(None)


class Feeds:
    """All live streams of this gateway."""

    def __init__(self, capacity: int, limit: int) -> None:
        self._capacity = capacity
        self._limit = limit
        self._feeds: set[Feed] = set()

    def __len__(self) -> int:
        return len(self._feeds)

    @contextmanager
    def subscribed(self, wanted: FeedFilter) -> Iterator[Feed]:
        """A stream from now on; 503 when there are as many as this gateway takes."""
        if len(self._feeds) >= self._limit:
            raise ApiError(
                503, "too_many_streams", "Too many event streams are open.", headers={"Retry-After": "10"}
            )
        feed = Feed(wanted, self._capacity)
        self._feeds.add(feed)
        FEEDS.set(len(self._feeds))
        try:
            yield feed
        finally:
            self._feeds.discard(feed)
            FEEDS.set(len(self._feeds))

    def deliver(self, event: InboundEvent) -> None:
        """Give an event to all who want it; never waits."""
        for feed in self._feeds:
            feed.offer(event)

    def end_all(self) -> None:
        """End every stream, for a stop."""
        for feed in self._feeds:
            feed.end()
