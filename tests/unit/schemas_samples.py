"""One event of each kind."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from schemas.events import change_event, outcome_event
from schemas.history import ChangeKind, HistoryEntry, RequestOutcome, RequestStatus
from schemas.identity import memory_id
from schemas.memories import Memory
from schemas.problems import FailureReason
from schemas.scope import Scope

NOW = datetime(2030, 1, 31, 12, tzinfo=UTC)
SCOPE = Scope("default", user_id="alice", run_id="trip")
MEMORY = Memory(
    id=memory_id("default", "r1", 0),
    scope=SCOPE,
    text="I like hiking.",
    version=1,
    created_at=NOW,
    updated_at=NOW,
    name="Alice",
    metadata={"mood": "good", "score": 1.5},
    expires_at=NOW,
)
OUTCOME = RequestOutcome("r1", SCOPE, "add", "0" * 64, RequestStatus.SUCCEEDED, NOW, changes=1)
ENTRY = HistoryEntry(ChangeKind.ADDED, MEMORY, None, None, "r1", 0, NOW)
FAILED = replace(
    OUTCOME,
    status=RequestStatus.FAILED,
    changes=0,
    memory_id=MEMORY.id,
    reason=FailureReason.NOT_FOUND,
    detail="no",
)
EVENTS = [
    change_event(ENTRY, OUTCOME),
    change_event(replace(ENTRY, kind=ChangeKind.UPDATED, previous_text="I like swimming."), OUTCOME),
    change_event(replace(ENTRY, kind=ChangeKind.DELETED, memory=replace(MEMORY, deleted_at=NOW)), OUTCOME),
    outcome_event(replace(OUTCOME, changes=0)),
    outcome_event(FAILED),
]
