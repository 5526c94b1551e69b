"""What requests changed, read from the history page by page."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from datetime import timedelta
from functools import partial
from typing import Final, Protocol, TypeVar
from uuid import UUID

from agents import paging
from infra.postgres import Database
from schemas.history import HistoryEntry, RequestOutcome

T = TypeVar("T")

#: How long a change may wait for its announcement, by all that :func:`changes_before` knows.
_ANNOUNCED_WITHIN: Final = timedelta(hours=1)


class Call(Protocol):
    """Calls what blocks, on a thread."""

    def __call__(self, work: Callable[[], T], /) -> Awaitable[T]: ...


async def changes_of(database: Database, outcome: RequestOutcome, call: Call) -> AsyncIterator[list[HistoryEntry]]:
    """All that a request changed, in order, in pages of bounded size; one empty page when it changed nothing."""
    after, limit = -1, paging.FIRST
    while True:
        page = await call(partial(database.request_history, *outcome.key, after, limit))
        if page or after < 0:
            yield page
        if not page or page[-1].index + 1 >= outcome.changes:
            return
        after, limit = page[-1].index, paging.after(len(page))


async def changes_before(
    database: Database, ids: Collection[UUID], outcome: RequestOutcome, call: Call
) -> AsyncIterator[list[tuple[HistoryEntry, RequestOutcome]]]:
    """What others changed of these memories in the hour before this request, each memory's in order."""
    since = outcome.recorded_at - _ANNOUNCED_WITHIN
    last: HistoryEntry | None = None
    limit = paging.FIRST
    while page := await call(partial(database.replaying.changes, ids, since, last, limit)):
        yield [one for one in page if one[0].request_id != outcome.request_id]
        last, limit = page[-1][0], paging.after(len(page))
