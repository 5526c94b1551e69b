"""Events told once more from history: for consumers that lost what they had.

They are the same events, by id and by body, and in order for each memory: a consumer that has them already knows
them by their ids. Nothing is changed in the stores, so it may be interrupted and done again.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from graphlib import TopologicalSorter
from itertools import pairwise
from typing import Final
from uuid import UUID

from agents.changes import changes_of
from agents.maintenance.unredacted import unredacted
from agents.stages.announce import AnnounceStage
from infra.postgres import Database
from schemas.events import Event, change_event, outcome_event
from schemas.history import HistoryEntry, RequestKey, RequestOutcome
from schemas.scope import Scope

#: Moments read at a time.
_PAGE: Final = 500


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which events: of all projects or of a scope, of requests that were done in ``[begin, end)``."""

    scope: Scope | None
    begin: datetime | None
    end: datetime

    def covers(self, scope: Scope) -> bool:
        return self.scope is None or self.scope.covers(scope)


async def replay(
    database: Database, announcing: AnnounceStage | None, wanted: Wanted, tell: Callable[[int], None]
) -> int:
    """Send the events again, or only count them when nobody is to announce them; returns how many there are."""
    projects = [wanted.scope.project] if wanted.scope else await asyncio.to_thread(database.replaying.projects)
    sent = 0
    for project in projects:
        async for moment in _moments(database, project, wanted):
            # Contents that are read here are in Kafka before a forget ends, which says how long Kafka keeps them.
            async with unredacted(database, project) as still:
                async for events in _events(database, project, moment, wanted):
                    if announcing is not None:
                        await still()
                        await announcing.send((event, None) for event in events)
                    sent += len(events)
            tell(sent)
    return sent


async def _moments(database: Database, project: str, wanted: Wanted) -> AsyncIterator[datetime]:
    last: datetime | None = None
    while True:
        page = await asyncio.to_thread(database.replaying.moments, project, wanted.begin, wanted.end, last, _PAGE)
        for moment in page:
            yield moment
        if len(page) < _PAGE:
            return
        last = page[-1]


async def _events(
    database: Database, project: str, moment: datetime, wanted: Wanted
) -> AsyncIterator[list[Event]]:
    """The events of the requests that were applied at the same moment."""
    batch = await asyncio.to_thread(database.replaying.outcomes, project, moment)
    # A delete_all is a transaction of its own, and changes as much as there was.
    alone = [one for one in batch if one.op == "delete_all" and one.changes]
    others = [one for one in batch if one not in alone]
    history = await asyncio.to_thread(_histories, database, [one.key for one in others])
    for outcome in in_order(others, history):
        entries = history[outcome.key]
        events = [change_event(entry, outcome) for entry in entries if wanted.covers(entry.memory.scope)]
        if not entries and wanted.covers(outcome.scope):
            events.append(outcome_event(outcome))
        yield events
    for outcome in alone:
        async for page in changes_of(database, outcome, asyncio.to_thread):
            yield [change_event(entry, outcome) for entry in page if wanted.covers(entry.memory.scope)]


def in_order(
    batch: Sequence[RequestOutcome], history: Mapping[RequestKey, Sequence[HistoryEntry]]
) -> list[RequestOutcome]:
    """Requests of one moment, so that each memory's versions follow each other."""
    changed: dict[UUID, list[tuple[int, RequestKey]]] = {}
    for outcome in batch:
        for entry in history[outcome.key]:
            changed.setdefault(entry.memory.id, []).append((entry.memory.version, outcome.key))
    graph = TopologicalSorter[RequestKey]({outcome.key: () for outcome in batch})
    for versions in changed.values():
        for (_, before), (_, after) in pairwise(sorted(versions)):
            graph.add(after, before)
    by_key = {outcome.key: outcome for outcome in batch}
    return [by_key[key] for key in graph.static_order()]


def _histories(database: Database, keys: Sequence[RequestKey]) -> dict[RequestKey, list[HistoryEntry]]:
    with database.transaction() as transaction:
        return transaction.history(keys)
