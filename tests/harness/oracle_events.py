"""The oracle's part about what was published: events and dead letters."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from uuid import UUID

import orjson

from schemas.events import EventBody, EventMemory, EventType
from schemas.history import ChangeKind, HistoryEntry, RequestStatus
from schemas.identity import event_id
from schemas.memories import Memory
from streams.records import Record
from tests.harness.findings import Findings
from tests.harness.observed import Observed
from tests.harness.oracle_rows import Poison
from tests.harness.workload import POISON_HEADER

_TYPES = {
    ChangeKind.ADDED: EventType.ADDED,
    ChangeKind.UPDATED: EventType.UPDATED,
    ChangeKind.DELETED: EventType.DELETED,
}


def check_events(seen: Observed, findings: Findings) -> None:
    """Each change has its event, in order for each memory; one that comes again is the same."""
    first: dict[str, Record] = {}
    for record in seen.events:
        id = record.header("ce_id") or ""
        earlier = first.setdefault(id, record)
        again, once = (record.key, record.value, record.headers), (earlier.key, earlier.value, earlier.headers)
        findings.judge(findings.duplicated, f"event {id}, repeated", again, once)
    wanted = _wanted(seen)
    findings.same_keys("event", first, wanted)
    versions: Counter[UUID] = Counter()
    for id, record in first.items():
        body = EventBody.model_validate_json(record.value or b"")
        outcome = seen.outcomes.get((body.project, body.request_id))
        if outcome is not None:
            found = body.count, body.reason
            findings.judge(findings.wrong, f"event {id}", found, (outcome.events, outcome.reason))
        if (entry := wanted.get(id)) is None:
            continue
        memory = entry.memory
        told = (record.key, record.header("ce_type"), body.version, body.previous_text, body.memory)
        kind, key = _TYPES[entry.kind], memory.scope.key.encode()
        happened = (key, kind, memory.version, entry.previous_text, _event_memory(memory))
        findings.judge(findings.wrong, f"event {id}", told, happened)
        versions[memory.id] += 1
        findings.judge(findings.wrong, f"place of event {id}", memory.version, versions[memory.id])


def _event_memory(memory: Memory) -> EventMemory:
    scope = memory.scope
    return EventMemory(
        id=memory.id,
        text=memory.text,
        user_id=scope.user_id,
        agent_id=scope.agent_id,
        app_id=scope.app_id,
        run_id=scope.run_id,
        role=memory.role,
        name=memory.name,
        metadata=memory.metadata,
        created_at=memory.created_at,
        updated_at=memory.updated_at,
        expiration_date=memory.expires_at,
    )


def _wanted(seen: Observed) -> dict[str, HistoryEntry | None]:
    changes = {(e.memory.scope.project, e.request_id, e.index): e for h in seen.history.values() for e in h}
    wanted: dict[str, HistoryEntry | None] = {}
    for (project, request_id), outcome in seen.outcomes.items():
        for index in range(outcome.events):
            entry = changes.get((project, request_id, index))
            quiet = EventType.FAILED if outcome.status is RequestStatus.FAILED else EventType.UNCHANGED
            kind = _TYPES[entry.kind] if entry else quiet
            wanted[str(event_id(project, request_id, index, kind))] = entry
    return wanted


def seen_again(seen: Observed) -> int:
    """How often requests were announced beyond the times that they were published."""
    announced = Counter(
        (body["project"], body["request_id"])
        for record in seen.events
        if (body := orjson.loads(record.value or b""))["index"] == 0
    )
    published: Counter[tuple[str, str]] = Counter()
    for record in seen.requests:
        with suppress(ValueError):  # of poison
            request = orjson.loads(record.value or b"")
            if isinstance(request, dict):
                published[request.get("project", "default"), request["request_id"]] += 1
    return sum((announced - published).values())


def check_dead_letters(seen: Observed, poison: Poison, findings: Findings) -> None:
    """The dead-letter topic holds all poison as it came, and nothing else."""
    letters = {letter.source: letter for letter in seen.dead_letters}
    both = findings.same_keys("the dead letter of record", letters, poison)
    for letter in seen.dead_letters:
        if letter.source not in both:
            continue
        record = poison[letter.source]
        found = (letter.reason, letter.record.key, letter.record.value, letter.own_headers)
        wanted = (record.header(POISON_HEADER), record.key, record.value, tuple(record.headers))
        findings.judge(findings.wrong, f"dead letter {letter.source}", found, wanted)
        findings.judge(findings.wrong, "topic", letter.record.header("__connect.errors.topic"), record.topic)
