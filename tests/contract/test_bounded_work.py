"""What a worker reads at a time is bounded in bytes: a thousand large memories are more than it could hold."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from uuid import UUID

import pytest

from agents.changes import changes_before, changes_of
from agents.maintenance.replay import Wanted, _events
from agents.stages.apply import apply
from agents.stages.purge import purge
from infra.postgres import Database
from schemas.history import HistoryEntry
from schemas.sizes import TOGETHER_BYTES
from tests.contract.test_database import item
from tests.harness.memory import traced

_MEMORIES = 30
_TEXT, _METADATA = "x" * 500_000, {"large": "y" * 500_000}
_LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


def large(database: Database) -> list[UUID]:
    """Their ids, in order."""
    one = partial(item, text=_TEXT, metadata=_METADATA, expiration_date=_LONG_AGO)
    return sorted(apply(database, [one()])[0][0].history[0].memory.id for _ in range(_MEMORIES))


def _purge(database: Database, ids: list[UUID]) -> object:
    with database.transaction() as transaction:
        return transaction.live_in_scope(item(op="delete_all").request.scope, 1_000)[0]


def _again_for_another(database: Database, ids: list[UUID]) -> object:
    """Who uses the id of a delete_all again gets none of it read."""
    applied, rejected = apply(database, [item(request_id="all", text="tea")])
    assert applied == []
    return rejected


def _changes_of(database: Database, ids: list[UUID]) -> object:
    return database.request_history("default", "all")


def _changes_before(database: Database, ids: list[UUID]) -> object:
    return database.replaying.changes(ids, _LONG_AGO, None, 1_000)


_READS: dict[str, Callable[[Database, list[UUID]], object]] = {
    "purge": _purge,
    "changes_of": _changes_of,
    "again for another": _again_for_another,
    "changes_before": _changes_before,
    "to_project": lambda database, ids: database.to_project(ids, "AgentMem"),
    "standing": lambda database, ids: database.standing(ids),
    "changed_between": lambda database, ids: database.changed_between(_LONG_AGO, database.now()),
    "due": lambda database, ids: database.expiring.due(timedelta(0), 1_000),
}


@pytest.mark.parametrize("read", _READS)
def test_large_memories_are_not_all_read_at_once(database: Database, read: str) -> None:
    ids = large(database)
    if read in ("changes_of", "again for another"):
        while purge(database, item(request_id="all", op="delete_all")).is_open:
            pass
    with traced() as memory:
        assert _READS[read](database, ids)
    # A row may be in hand several times, as it came and parsed.
    assert memory.peak < 6 * TOGETHER_BYTES < _MEMORIES * len(_TEXT)


async def test_a_delete_all_of_large_memories_goes_on_until_all_are_gone_and_told(database: Database) -> None:
    ids = large(database)
    request, chunks = item(op="delete_all"), 1
    while (outcome := purge(database, request)).is_open:
        chunks += 1
    assert (outcome.changes, chunks > 3) == (_MEMORIES, True)
    told: list[HistoryEntry] = []
    async for page in changes_of(database, outcome, asyncio.to_thread):
        assert len(page) < 5
        told += page
    assert [(entry.index, entry.memory.id) for entry in told] == list(enumerate(ids))
    assert {entry.previous_text for entry in told} == {_TEXT}
    wanted = Wanted(None, None, database.now())
    replayed = [len(page) async for page in _events(database, "default", outcome.recorded_at, wanted)]
    assert (sum(replayed), max(replayed) < 5) == (_MEMORIES, True)
    before = [one async for page in changes_before(database, ids, outcome, asyncio.to_thread) for one, _ in page]
    assert [entry.memory.id for entry in before] == ids


def test_large_memories_are_projected_part_by_part(database: Database) -> None:
    pending, projected = large(database), list[UUID]()
    ids = list(pending)
    while pending:
        rows, _ = database.to_project(pending, "AgentMem")
        assert {row.text for row in rows.values()} == {_TEXT}
        projected += rows
        pending = [id for id in pending if id > max(rows)]
    assert projected == ids


def test_what_a_request_holds_is_known_before_it_is_read(database: Database) -> None:
    id = apply(database, [item(text=_TEXT, metadata=_METADATA)])[0][0].history[0].memory.id
    update = item(op="update", memory_id=id, text="short", metadata={})
    row = len(_TEXT) + len('{"large": ""}') + 500_000
    assert database.held({update.key: id, ("default", "unknown"): UUID(int=0)}) == {update.key: row}
    apply(database, [update])
    # Done before, it comes back with what it changed: the text and the metadata that were there.
    again = database.held({update.key: id})[update.key]
    assert row <= again < row + 1_000
