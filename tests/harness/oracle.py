"""The oracle: what a system must look like once it has done all that lies in its request topic.

What is expected follows from the request topic alone: a naive model applies its records one by one, leaving out
those that carry the poison header.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from uuid import UUID

import numpy as np
import orjson
from numpy.typing import NDArray

from infra.onnx import Embedder
from infra.weaviate import Point, VectorIndex
from schemas.events import EventType
from schemas.history import ChangeKind, HistoryEntry, RequestStatus
from schemas.identity import event_id
from schemas.memories import Memory
from schemas.requests import MemoryRequest
from streams.records import Record
from tests.harness.kafka import lag
from tests.harness.observed import Observed, observe
from tests.harness.system import System
from tests.harness.workload import POISON_HEADER
from tests.unit.naive import NaiveModel

#: Poison that is readable as a request: it gets a row and an event beside its dead letter.
_ANSWERED = {"invalid_vector"}
#: fp32 on one machine; what else is in a micro-batch changes the last digits.
_LEAST_COSINE = 0.999


@dataclass(frozen=True)
class Summary:
    """How much there was, for a table."""

    requests: int
    dead_letters: int
    rows: int
    live: int
    events: int
    repeated_events: int


async def assert_consistent(system: System, embedder: Embedder) -> Summary:
    """Fail unless stores, events and dead letters are exactly what the request topic asks for."""
    assert await lag(system) == 0
    seen = await observe(system)
    model, poison = _model(seen.requests)
    _check_rows(seen, model)
    _check_history(seen, model)
    _check_outcomes(seen, model, poison)
    _check_events(seen)
    _check_dead_letters(seen, poison)
    await _check_index(system, seen, embedder)
    return Summary(
        requests=len(seen.requests),
        dead_letters=len(seen.dead_letters),
        rows=len(seen.rows),
        live=len(seen.points),
        events=len(seen.events),
        repeated_events=len(seen.events) - len({record.header("ce_id") for record in seen.events}),
    )


def _model(records: list[Record]) -> tuple[NaiveModel, dict[tuple[int, int], Record]]:
    model = NaiveModel()
    poison = {}
    for record in records:
        if record.header(POISON_HEADER) is None:
            assert record.value is not None
            model.apply(MemoryRequest.model_validate_json(record.value))
        else:
            poison[record.partition, record.offset] = record
    return model, poison


def _check_rows(seen: Observed, model: NaiveModel) -> None:
    _same_keys(seen.rows, model.rows, "memories")
    for id, expected in model.rows.items():
        row = seen.rows[id]
        scope = row.scope
        found = (
            (scope.project, scope.user_id, scope.agent_id, scope.app_id, scope.run_id),
            *(row.text, row.metadata, row.version, row.expires_at, row.deleted_at is not None, row.role, row.name),
        )
        wanted = (
            expected.scope,
            *(expected.text, expected.metadata, expected.version, expected.expires, expected.deleted),
            *(expected.role, expected.name),
        )
        assert found == wanted, f"memory {id}"


def _check_history(seen: Observed, model: NaiveModel) -> None:
    _same_keys(seen.history, model.versions, "histories")
    for id, entries in seen.history.items():
        assert [entry.memory.version for entry in entries] == list(range(1, len(entries) + 1)), f"memory {id}"
        assert [entry.kind for entry in entries] == model.versions[id], f"memory {id}"
        previous: HistoryEntry | None = None
        for entry in entries:
            assert entry.previous_text == (previous.memory.text if previous else None), f"memory {id}"
            assert previous is None or previous.recorded_at <= entry.recorded_at, f"memory {id}"
            previous = entry
        assert _state(entries[-1].memory) == _state(seen.rows[id]), f"memory {id}"


def _state(memory: Memory) -> tuple[object, ...]:
    # A history row holds all of its memory but the vector.
    return (memory.scope, memory.text, memory.metadata, memory.created_at, memory.updated_at, memory.deleted_at)


def _check_outcomes(seen: Observed, model: NaiveModel, poison: dict[tuple[int, int], Record]) -> None:
    wanted = {key: (_status(what), _reason(what), changes) for key, (what, changes) in model.outcomes.items()}
    for record in poison.values():
        if (reason := record.header(POISON_HEADER)) in _ANSWERED:
            request = MemoryRequest.model_validate_json(record.value or b"")
            wanted[request.project, request.request_id] = (RequestStatus.FAILED, reason, 0)
    _same_keys(seen.outcomes, wanted, "requests")
    for key, outcome in seen.outcomes.items():
        assert (outcome.status, outcome.reason, outcome.changes) == wanted[key], f"request {key}"


def _status(what: str) -> RequestStatus:
    return RequestStatus.SUCCEEDED if what in ("succeeded", "unchanged") else RequestStatus.FAILED


def _reason(what: str) -> str | None:
    return None if what in ("succeeded", "unchanged") else what


_TYPES = {
    ChangeKind.ADDED: EventType.ADDED,
    ChangeKind.UPDATED: EventType.UPDATED,
    ChangeKind.DELETED: EventType.DELETED,
}


def _check_events(seen: Observed) -> None:
    first: dict[str, Record] = {}
    for record in seen.events:
        id = record.header("ce_id")
        assert id is not None
        earlier = first.setdefault(id, record)
        again = (record.key, record.value, record.headers)
        assert again == (earlier.key, earlier.value, earlier.headers), f"event {id} is repeated differently"
    changes = {(e.memory.scope.project, e.request_id, e.index): e for h in seen.history.values() for e in h}
    wanted: dict[str, HistoryEntry | None] = {}
    for (project, request_id), outcome in seen.outcomes.items():
        for index in range(outcome.events):
            entry = changes.get((project, request_id, index))
            quiet = EventType.FAILED if outcome.status is RequestStatus.FAILED else EventType.UNCHANGED
            kind = _TYPES[entry.kind] if entry else quiet
            wanted[str(event_id(project, request_id, index, kind))] = entry
    _same_keys(first, wanted, "events")
    versions: Counter[UUID] = Counter()
    for id, record in first.items():
        body = orjson.loads(record.value or b"")
        outcome = seen.outcomes[body["project"], body["request_id"]]
        assert (body["count"], body.get("reason")) == (outcome.events, outcome.reason)
        if (entry := wanted[id]) is None:
            continue
        memory = entry.memory
        found = (record.key, body["memory"]["id"], body["memory"]["text"], body["version"], body["previous_text"])
        key = memory.scope.key.encode()
        assert found == (key, str(memory.id), memory.text, memory.version, entry.previous_text), f"event {id}"
        versions[memory.id] += 1
        assert memory.version == versions[memory.id], f"the events of memory {memory.id} come out of order"


def _check_dead_letters(seen: Observed, poison: dict[tuple[int, int], Record]) -> None:
    _same_keys({letter.source: letter for letter in seen.dead_letters}, poison, "dead letters")
    for letter in seen.dead_letters:
        record = poison[letter.source]
        assert letter.reason == record.header(POISON_HEADER), letter
        assert (letter.record.key, letter.record.value) == (record.key, record.value), letter.source
        assert letter.own_headers == tuple(record.headers), letter.source
        assert letter.record.header("__connect.errors.topic") == record.topic


async def _check_index(system: System, seen: Observed, embedder: Embedder) -> None:
    live = {id: row for id, row in seen.rows.items() if row.deleted_at is None}
    _same_keys(seen.points, live, "objects in Weaviate")
    vectors = _vectors(live, embedder)
    for id, row in live.items():
        point = seen.points[id]
        assert (point.version, point.scope) == (row.version, row.scope), f"object {id}"
        cosine = float(np.dot(np.asarray(point.vector), vectors[id]))
        assert cosine > _LEAST_COSINE, f"object {id} has another vector: cosine {cosine}"
    index = VectorIndex(system.weaviate)
    await index.open()
    try:
        lost: list[Point] = await index.unsearchable(list(seen.points.values()))
    finally:
        await index.close()
    assert not lost, f"{len(lost)} objects that no search finds, such as {lost[0].id}"


def _vectors(live: dict[UUID, Memory], embedder: Embedder) -> dict[UUID, NDArray[np.float32]]:
    texts = list({row.embedding_text for row in live.values() if row.vector is None})
    embedded = dict(zip(texts, embedder.embed(texts).vectors, strict=True)) if texts else {}
    return {
        id: embedded[row.embedding_text] if row.vector is None else np.asarray(row.vector, dtype=np.float32)
        for id, row in live.items()
    }


def _same_keys(found: object, wanted: object, what: str) -> None:
    have, want = set(found), set(wanted)  # type: ignore[call-overload]
    if have != want:
        missing, extra = want - have, have - want
        raise AssertionError(
            f"{what}: {len(missing)} of {len(want)} are missing {_some(missing)}, "
            f"{len(extra)} are too many {_some(extra)}"
        )


def _some(keys: set[object]) -> str:
    return ", ".join(map(str, sorted(keys, key=str)[:5]))
