"""Calls that wait for the events of their own request."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from gateway.writes.progress import Progress, change_of_event, names_changes
from schemas.events import EventType
from schemas.history import Change, RequestStatus
from schemas.inbound import InboundEvent

_Key = tuple[str, str]


class Waiter:
    """Collects what the events of one request say, in order of their index; ``done`` resolves to it.

    Of an event no more is kept than the answer tells: an event may be large, and a request may have many.
    """

    def __init__(self) -> None:
        self.done: asyncio.Future[Progress] = asyncio.get_running_loop().create_future()
        self._changes: dict[int, Change] = {}
        self._seen: set[int] = set()

    def take(self, event: InboundEvent) -> None:
        """Note the event; one that comes again is the same and counts once."""
        body = event.body
        self._seen.add(body.index)
        if names_changes(body.op) and (change := change_of_event(event)) is not None:
            self._changes[body.index] = change
        if len(self._seen) < body.count or self.done.done():
            return
        if event.type is EventType.FAILED:  # then it is the only one
            self.done.set_result(Progress(RequestStatus.FAILED, (), body.reason, body.detail))
        else:
            changes = tuple(self._changes[index] for index in sorted(self._changes))
            self.done.set_result(Progress(RequestStatus.SUCCEEDED, changes))


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
