"""Readers of the project's events: what lies behind a cursor first, then what comes, each event once.

A reader knows for each partition how far it is. From a cursor it reads Kafka itself, until little is missing
to where the live events are; then it has these queued, reads up to that point, and goes on with the queue. What
it has read already, it passes over there: nothing is lost and nothing comes twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final

from aiokafka import ConsumerRecord

from gateway.feeds.catchup import CatchUp, CatchUps
from gateway.feeds.cursors import Cursors, InvalidCursorError
from gateway.feeds.hub import STOPPING, Feed, FeedFilter, Feeds, StreamEndedError
from gateway.feeds.inbound import Positions, distance, furthest, widened
from gateway.feeds.listener import EventListener
from gateway.feeds.places import Places
from gateway.http.problems import ApiError, invalid
from gateway.settings_feeds import FeedSettings
from infra.telemetry.metrics import FEEDS
from schemas.inbound import InboundEvent, decode_event
from schemas.problems import StoreUnavailableError

NOW: Final = "now"
BEGINNING: Final = "beginning"
_NO_KAFKA: Final = "Kafka cannot be reached. Nothing is lost: ask again from this cursor."


class Reader:
    """One caller's way through the events that it wants."""

    def __init__(
        self,
        wanted: FeedFilter,
        cursors: Cursors,
        feeds: Feeds,
        listener: EventListener,
        past: CatchUp | None,
        stopping: asyncio.Event,
    ) -> None:
        self._wanted = wanted
        self._cursors = cursors
        self._feeds = feeds
        self._listener = listener
        self._past = past
        self._stopping = stopping
        self._feed: Feed | None = None
        self._goal: Positions = ()
        if past is None:
            self._positions = self._attach()
        else:
            self._positions = past.positions

    @property
    def cursor(self) -> str:
        """Where to go on: behind the last event that ``next`` returned, and all others up to there."""
        return self._cursors.encode(self._positions)

    async def next(self, timeout_s: float) -> InboundEvent | None:
        """The next event; None when there was none for so long. Raises ``StreamEndedError``."""
        try:
            async with asyncio.timeout(timeout_s) as late:
                return await self._next()
        except TimeoutError:
            if not late.expired():
                raise
        except StoreUnavailableError as error:
            raise StreamEndedError(_NO_KAFKA) from error
        if self._past is None and self._feed is not None and self._feed.is_drained:
            self._positions = furthest(self._positions, self._listener.positions)
        return None

    async def close(self) -> None:
        """Give back what the reader holds."""
        if self._feed is not None:
            self._feeds.detach(self._feed)
        await self._leave_the_past()

    async def _next(self) -> InboundEvent:
        while self._past is not None:
            if self._stopping.is_set():
                raise StreamEndedError(STOPPING)
            self._past.check_deadline()
            if self._past.records:
                event = self._read(self._past.records.popleft())
                if event is not None:
                    return event
            elif self._has_caught_up(self._past):
                await self._leave_the_past()
            else:
                await self._past.fetch()
        assert self._feed is not None
        while True:
            arrival = await self._feed.next()
            self._positions = widened(self._positions, len(arrival.positions))
            read_before = arrival.offset < self._positions[arrival.partition]
            self._positions = furthest(self._positions, arrival.positions)
            if not read_before:
                return arrival.event

    def _read(self, record: ConsumerRecord) -> InboundEvent | None:
        """Pass a record; the event in it if it is wanted."""
        here = record.partition
        self._positions = (*self._positions[:here], record.offset + 1, *self._positions[here + 1 :])
        try:
            event = decode_event(record.key, record.value, record.headers)
        except ValueError:
            return None  # the listener has told it
        return event if self._wanted.matches(event) else None

    def _has_caught_up(self, past: CatchUp) -> bool:
        if self._feed is None:
            live = self._listener.positions
            if len(live) > len(self._positions):
                self._positions = widened(self._positions, len(live))
                past.go_on_from(self._positions)
            # Half of the queue is left for what comes while the rest is read.
            if distance(self._positions, live) <= self._feeds.capacity // 2:
                self._goal = furthest(past.goal, self._attach())
        return self._feed is not None and distance(self._positions, self._goal) == 0

    def _attach(self) -> Positions:
        # Without a wait in between: the queue begins exactly at these positions.
        self._feed = self._feeds.attach(self._wanted)
        return self._listener.positions

    async def _leave_the_past(self) -> None:
        past, self._past = self._past, None
        if past is not None:
            # Unshielded, a reader that leaves in this moment would leave a connection behind.
            await asyncio.shield(past.close())


class Readers:
    """All readers of this gateway. ``key_of`` finds the secret that a project's cursors are made with."""

    def __init__(
        self,
        feeds: Feeds,
        listener: EventListener,
        catch_ups: CatchUps,
        key_of: Callable[[str], Awaitable[bytes | None]],
        topic: str,
        settings: FeedSettings,
    ) -> None:
        self._feeds = feeds
        self._listener = listener
        self._catch_ups = catch_ups
        self._key_of = key_of
        self._topic = topic
        self._settings = settings
        self._places = Places(FEEDS)
        #: Set when the gateway stops.
        self.stopping = asyncio.Event()

    @asynccontextmanager
    async def open(self, wanted: FeedFilter, start: str) -> AsyncIterator[Reader]:
        """A reader from ``start`` on: a cursor, ``now`` or ``beginning``.

        Raises ``ApiError``: 400 for what is no cursor of this project, 410 for one that is too old, 503 when there
        are as many readers as this gateway, or one project of it, takes. Raises ``StoreUnavailableError`` when
        Kafka cannot be reached.
        """
        settings, project = self._settings, wanted.project
        shortage = self._places.shortage(project, settings.feeds_max, settings.feeds_project_share)
        if shortage:
            detail = f"Too many event streams are open: {shortage}."
            raise ApiError(503, "too_many_streams", detail, headers={"Retry-After": "10"})
        self._places.take(project)
        try:
            reader = await self._reader(wanted, start)
            try:
                yield reader
            finally:
                await reader.close()
        finally:
            self._places.free(project)

    def stop(self) -> None:
        """End every stream, for a stop."""
        self.stopping.set()
        self._feeds.end_all()

    async def _reader(self, wanted: FeedFilter, start: str) -> Reader:
        key = await self._key_of(wanted.project)
        assert key is not None  # every project has one
        cursors = Cursors(key, wanted.project, self._topic)
        if not self._listener.positioned:
            raise StoreUnavailableError("Kafka", "the event topic is not being read")
        past = None
        if start != NOW:
            positions = None if start == BEGINNING else _decoded(cursors, start)
            live = self._listener.positions
            if positions != live:
                past = await self._catch_ups.open(wanted.project, positions, len(live))
        return Reader(wanted, cursors, self._feeds, self._listener, past, self.stopping)


def _decoded(cursors: Cursors, start: str) -> Positions:
    try:
        return cursors.decode(start)
    except InvalidCursorError as error:
        raise invalid("from", f"must be {NOW}, {BEGINNING} or a cursor of this project") from error
