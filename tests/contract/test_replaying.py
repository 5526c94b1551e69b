"""What is read of the past in order to tell it once more."""

from __future__ import annotations

from typing import Any

from agents.stages.apply import apply
from infra.postgres import Database
from schemas.history import HistoryEntry, RequestOutcome
from schemas.requests import MemoryRequest
from tests.harness.items import item


def change(database: Database, **fields: Any) -> HistoryEntry:
    [applied], _ = apply(database, [item(MemoryRequest.model_validate({"user_id": "alice", **fields}))])
    [entry] = applied.history
    return entry


def test_changes_come_by_memory_and_version_each_with_its_request(database: Database) -> None:
    entries = []
    for name in "abc":
        added = change(database, request_id=name, op="add", text="likes tea")
        rename = {"memory_id": added.memory.id, "text": "likes coffee"}
        entries += [added, change(database, request_id=f"{name}2", op="update", **rename)]
    *wanted, other = [entries[n : n + 2] for n in (0, 2, 4)]
    ids = [one.memory.id for one, _ in wanted]

    def pages(since: HistoryEntry) -> list[tuple[HistoryEntry, RequestOutcome]]:
        found: list[tuple[HistoryEntry, RequestOutcome]] = []
        while page := database.replaying.changes(ids, since.recorded_at, found[-1][0] if found else None, 3):
            found += page
        return found

    found = pages(entries[0])
    in_order = sorted(
        (one for pair in wanted for one in pair), key=lambda one: (one.memory.id, one.memory.version)
    )
    assert [entry for entry, _ in found] == in_order
    assert all(request == database.outcome(*request.key) for _, request in found)
    assert [request.request_id for _, request in found] == [entry.request_id for entry in in_order]
    assert [entry.request_id for entry, _ in pages(entries[2])] == ["b", "b2"]
    assert pages(other[0]) == []
