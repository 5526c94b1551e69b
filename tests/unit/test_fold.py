"""fold against a naive model, and what the model cannot say."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.fold import Changes, fold
from schemas.history import ChangeKind, HistoryEntry, RequestStatus
from schemas.memories import Memory
from schemas.requests import MemoryRequest
from tests.unit.naive import NaiveModel
from tests.unit.strategies import requests

NOW = datetime(2030, 1, 1, tzinfo=UTC)


def request(**fields: Any) -> MemoryRequest:
    return MemoryRequest.model_validate({"user_id": "alice", **fields})


def unique(log: Sequence[MemoryRequest]) -> list[MemoryRequest]:
    return list({(one.project, one.request_id): one for one in log}.values())


def fold_in_batches(log: Sequence[MemoryRequest], cuts: Sequence[int]) -> tuple[dict[UUID, Memory], Changes]:
    """Fold a log cut into batches, with the rows carried from one to the next as a database would."""
    rows: dict[UUID, Memory] = {}
    total = Changes()
    edges = [0, *sorted(cut % (len(log) + 1) for cut in cuts), len(log)]
    for start, end in pairwise(edges):
        changes = fold(rows, log[start:end], NOW)
        rows |= changes.memories
        total.history += changes.history
        total.outcomes += changes.outcomes
    return rows, total


@given(requests(), st.lists(st.integers(0, 50), max_size=4))
def test_fold_equals_the_naive_model_however_the_log_is_cut(log: list[MemoryRequest], cuts: list[int]) -> None:
    model = NaiveModel()
    model.apply_all(log)
    rows, changes = fold_in_batches(unique(log), cuts)

    assert rows.keys() == model.rows.keys()
    for id, row in rows.items():
        naive = model.rows[id]
        assert (row.text, row.metadata, row.version, row.expires_at, row.vector) == (
            naive.text,
            naive.metadata,
            naive.version,
            naive.expires,
            naive.vector,
        )
        assert (row.deleted_at is not None) == naive.deleted
        assert (row.scope.project, row.scope.user_id, row.scope.agent_id, row.scope.app_id, row.scope.run_id) == (
            naive.scope
        )
    outcomes = {
        one.key: (
            "unchanged" if one.status == "succeeded" and not one.changes else one.reason or one.status,
            one.changes,
        )
        for one in changes.outcomes
    }
    assert outcomes == model.outcomes


@given(requests(), st.lists(st.integers(0, 50), max_size=4))
def test_history_has_every_version_once_and_in_order(log: list[MemoryRequest], cuts: list[int]) -> None:
    rows, changes = fold_in_batches(unique(log), cuts)
    by_memory: dict[UUID, list[HistoryEntry]] = {}
    for entry in changes.history:
        by_memory.setdefault(entry.memory.id, []).append(entry)
    assert by_memory.keys() == rows.keys()
    for id, entries in by_memory.items():
        assert [entry.memory.version for entry in entries] == list(range(1, len(entries) + 1))
        assert [entry.kind for entry in entries].count(ChangeKind.ADDED) == 1
        assert entries[-1].memory == rows[id]
        for before, after in pairwise(entries):
            assert (after.previous_text, after.previous_metadata) == (before.memory.text, before.memory.metadata)


def test_add_update_delete_of_one_memory_in_one_batch_are_three_versions() -> None:
    add = request(request_id="a", op="add", text="likes tea")
    changes = fold({}, [add], NOW)
    [id] = changes.memories
    batch = [
        add,
        request(request_id="b", op="update", memory_id=id, text="likes coffee"),
        request(request_id="c", op="delete", memory_id=id),
    ]
    changes = fold({}, batch, NOW)
    assert [entry.kind for entry in changes.history] == ["added", "updated", "deleted"]
    assert changes.memories[id].deleted_at == NOW
    assert changes.memories[id].version == 3


def test_times_come_from_the_message_then_the_request_then_the_clock() -> None:
    early, late = NOW - timedelta(days=2), NOW - timedelta(days=1)
    add = request(
        request_id="a",
        op="add",
        timestamp=late,
        messages=[{"content": "one", "timestamp": early}, {"content": "two"}],
    )
    one, two = fold({}, [add], NOW).memories.values()
    assert (one.created_at, two.created_at) == (early, late)
    [three] = fold({}, [request(request_id="b", op="add", text="three")], NOW).memories.values()
    assert three.created_at == NOW


def test_an_update_of_the_text_forgets_the_vector_that_came_with_the_old_one() -> None:
    [row] = fold({}, [request(request_id="a", op="add", text="tea", vector=[3.0, 4.0])], NOW).memories.values()
    assert row.vector == pytest.approx([0.6, 0.8])
    update = request(request_id="b", op="update", memory_id=row.id, metadata={"a": 1})
    [same] = fold({row.id: row}, [update], NOW).memories.values()
    assert same.vector == row.vector
    update = request(request_id="c", op="update", memory_id=row.id, text="coffee")
    [other] = fold({row.id: row}, [update], NOW).memories.values()
    assert other.vector is None


def test_a_failed_request_says_why_and_changes_nothing() -> None:
    [row] = fold({}, [request(request_id="a", op="add", text="tea")], NOW).memories.values()
    update = request(request_id="b", op="update", memory_id=row.id, text="coffee", expected_version=7)
    changes = fold({row.id: row}, [update], NOW)
    assert not changes.memories
    assert not changes.history
    [outcome] = changes.outcomes
    assert (outcome.status, outcome.reason) == (RequestStatus.FAILED, "version_conflict")
    assert "expected version 7, but it is 1" in (outcome.detail or "")
