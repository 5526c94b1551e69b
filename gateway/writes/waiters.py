"""Calls that wait for the events of their own request."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from schemas.inbound import InboundEvent
from schemas.requests import MAX_MESSAGES

_Key = tuple[str, str]


class Waiter:
    """Collects the events of one request; ``done`` resolves to them in order of their index.

    Only as many are kept as an ``add`` can have: a ``delete_all`` may have any number, which nobody reads.
    """

    def __init__(self) -> None:
        self.done: asyncio.Future[list[InboundEvent]] = asyncio.get_running_loop().create_future()
        self._events: dict[int, InboundEvent] = {}
        self._seen: set[int] = set()

    def take(self, event: InboundEvent) -> None:
        """Keep the event; one that comes again is the same and counts once."""
        self._seen.add(event.body.index)
        if event.body.index < MAX_MESSAGES:
            self._events[event.body.index] = event
        if len(self._seen) >= event.body.count and not self.done.done():
            self.done.set_result([self._events[index] for index in sorted(self._events)])


class Waiters:
    """All waiting calls, by project and request id."""

    def __init__(self) -> None:
        self._waiters: dict[_Key, list[Waiter]] = {}

    def __len__(self) -> int:
        return len(self._waiters)

    @contextmanager
    def waiting(self, project: str, request_id: str) -> Iterator[Waiter]:
        """A waiter for one request. Enter before publishing, or its events may pass unseen."""
        key = project, request_id
        waiter = Waiter()
        self._waiters.setdefault(key, []).append(waiter)
        try:
            yield waiter
        finally:
            others = self._waiters[key]
            others.remove(waiter)
            if not others:
                del self._waiters[key]
            waiter.done.cancel()

    def deliver(self, event: InboundEvent) -> None:
        """Give an event to those who wait for its request."""
        for waiter in self._waiters.get((event.body.project, event.body.request_id), ()):
            waiter.take(event)
