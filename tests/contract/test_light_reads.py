"""What a gateway reads of many memories or requests is no more than its answer shows."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

import pytest

from agents.stages.apply import apply
from agents.stages.purge import purge
from infra.postgres import Database
from schemas.history import ChangeKind
from tests.contract.test_database import item
from tests.harness.memory import traced

_MEMORIES = 20
_LARGE = 200_000
_Read = Callable[[Database, list[UUID]], object]


def _waiting(database: Database, ids: list[UUID]) -> object:
    return database.outcome("default", "waiting0")


_READS: dict[str, _Read] = {
    "stored": lambda database, ids: database.browsing.stored("default", ids),
    "requests": lambda database, ids: database.browsing.requests("default", 1_000, 0),
    "changes": lambda database, ids: database.browsing.changes("default", "all"),
    "outcome": _waiting,
}


@pytest.mark.parametrize("read", _READS)
def test_nothing_is_read_that_nobody_is_shown(database: Database, read: str) -> None:
    large, vector = {"large": "x" * _LARGE}, [1.0] + [0.0] * 383
    ids = [
        apply(database, [item(text="tea", metadata=large, vector=vector)])[0][0].history[0].memory.id
        for _ in range(_MEMORIES)
    ]
    while purge(database, item(request_id="all", op="delete_all")).is_open:
        pass
    for number in range(_MEMORIES):
        request = item(request_id=f"waiting{number}", text="tea", metadata=large).request
        database.accept(request)
    _READS[read](database, ids)  # what is made once, as compiled statements, does not count
    with traced() as memory:
        _READS[read](database, ids)
    assert memory.peak < _LARGE


def test_the_changes_of_a_request_are_all_there_in_their_order(database: Database) -> None:
    texts = [f"text {number}" for number in range(5)]
    for text in texts:
        apply(database, [item(text=text)])
    while purge(database, item(request_id="all", op="delete_all")).is_open:
        pass
    entries = database.request_history("default", "all")
    changes = database.browsing.changes("default", "all")
    assert [(one.memory_id, one.text) for one in changes] == [(e.memory.id, e.memory.text) for e in entries]
    assert {one.kind for one in changes} == {ChangeKind.DELETED}
    assert sorted(one.text for one in changes) == texts
    _, listed = database.browsing.requests("default", 1, 0)
    assert [(outcome.request_id, found) for outcome, found in listed] == [("all", changes)]
    assert database.browsing.changes("default", "other") == []
