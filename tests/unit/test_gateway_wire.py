"""Our models in mem0's shapes."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

from gateway.http.wire import event_json, history_json, memory_json
from gateway.writes.progress import Progress, progress_of_rows
from schemas.history import Change, ChangeKind, HistoryEntry, RequestOutcome, RequestStatus
from schemas.memories import Memory
from schemas.problems import FailureReason
from schemas.scope import Scope

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ID = UUID(int=7)
MEMORY = Memory(ID, Scope("p", user_id="a", run_id="r"), "hello", 1, NOW, NOW, metadata={"k": 1})


def test_a_memory_has_the_run_id_by_both_names_and_times_with_a_zone() -> None:
    document = memory_json(MEMORY)
    assert document["run_id"] == document["session_id"] == "r"
    assert (document["id"], document["memory"], document["metadata"]) == (str(ID), "hello", {"k": 1})
    assert document["created_at"].endswith("Z")
    assert document["categories"] == []
    assert document["expiration_date"] is None
    assert "score" not in document
    assert memory_json(MEMORY, 0.0)["score"] == 0.0


def test_history_begins_from_nothing_and_ends_in_nothing() -> None:
    added = history_json(HistoryEntry(ChangeKind.ADDED, MEMORY, None, None, "r1", 0, NOW))
    deleted = history_json(HistoryEntry(ChangeKind.DELETED, MEMORY, "hello", {}, "r2", 0, NOW))
    assert (added["event"], added["old_memory"], added["new_memory"]) == ("ADD", None, "hello")
    assert (deleted["event"], deleted["old_memory"], deleted["new_memory"]) == ("DELETE", "hello", None)
    assert added["memory_id"] == deleted["memory_id"] == str(ID)
    assert added["id"] != deleted["id"]


def test_the_state_of_a_request() -> None:
    done = Progress(RequestStatus.SUCCEEDED, (Change(ChangeKind.ADDED, ID, "hello"),))
    document = event_json("r1", done)
    assert document["status"] == "SUCCEEDED"
    assert document["results"] == [{"id": str(ID), "memory": "hello", "data": {"memory": "hello"}, "event": "ADD"}]
    outcome = RequestOutcome(
        "r1", MEMORY.scope, "delete", "h", RequestStatus.FAILED, NOW, reason=FailureReason.NOT_FOUND
    )
    document = event_json("r1", progress_of_rows(outcome, []))
    assert (document["status"], document["reason"], document["message"]) == ("FAILED", "not_found", "not_found")
