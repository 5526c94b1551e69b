"""The oracle's part about Postgres: memories, their history, and what became of each request."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from schemas.history import HistoryEntry, RequestStatus
from schemas.memories import Memory
from schemas.requests import MemoryRequest
from streams.records import Record
from streams.settings import KafkaSettings
from tests.harness.findings import Findings
from tests.harness.observed import Observed
from tests.harness.workload import POISON_HEADER
from tests.unit.naive import NaiveModel, NaiveRow, NaiveVersion

#: Poison that is readable as a request: it gets a row and an event beside its dead letter.
_ANSWERED = {"invalid_vector", "too_large"}
_MAX_BYTES = KafkaSettings().request_max_bytes

Poison = Mapping[tuple[int, int], Record]


def check_rows(seen: Observed, model: NaiveModel, findings: Findings) -> None:
    """Each memory is what the model says."""
    both = findings.same_keys("memory", seen.rows, model.rows)
    for id in both:
        row, expected = seen.rows[id], model.rows[id]
        findings.judge(findings.stale, f"memory {id}", _known(row), replace(expected, vector=None))
        findings.judge(findings.stale, f"vector of memory {id}", row.vector, expected.vector)


def check_history(seen: Observed, model: NaiveModel | None, findings: Findings, steady_clock: bool) -> None:
    """Each memory's history has no gap, ends in its row, and tells what the model says."""
    findings.same_keys("the history of memory", seen.history, seen.rows)
    for id, entries in seen.history.items():
        versions = [entry.memory.version for entry in entries]
        findings.judge(findings.wrong, f"versions of {id}", versions, list(range(1, len(entries) + 1)))
        if model is not None:
            wanted = model.versions.get(id, [])
            kind = findings.lost if len(entries) < len(wanted) else findings.duplicated
            findings.judge(kind, f"number of changes of {id}", len(entries), len(wanted))
            for entry, version in zip(entries, wanted, strict=False):
                found = NaiveVersion(entry.kind, entry.request_id, _known(entry.memory))
                findings.judge(findings.wrong, f"change of {id}", found, version)
        previous: HistoryEntry | None = None
        for entry in entries:
            told = entry.previous_text, entry.previous_metadata
            before = (previous.memory.text, previous.memory.metadata) if previous else (None, None)
            findings.judge(findings.wrong, f"text and metadata before, of {id}", told, before)
            if steady_clock and previous is not None and previous.recorded_at > entry.recorded_at:
                findings.wrong.append(f"history of {id} goes back in time")
            previous = entry
        if id in seen.rows:
            # A history row holds all of its memory but the vector.
            row = replace(seen.rows[id], vector=None)
            findings.judge(findings.stale, f"end of {id}", row, entries[-1].memory)


def check_outcomes(seen: Observed, model: NaiveModel, poison: Poison, findings: Findings) -> None:
    """Each request ended as the model says."""
    wanted = {key: (_status(what), _reason(what), changes) for key, (what, changes) in model.outcomes.items()}
    wanted |= {key: (RequestStatus.FAILED, reason, 0) for key, reason in answered(poison)}
    for key in seen.outcomes.keys() & wanted.keys():
        outcome = seen.outcomes[key]
        found = (outcome.status, outcome.reason, outcome.changes)
        findings.judge(findings.wrong, f"request {key}", found, wanted[key])


def answered(poison: Poison) -> Iterator[tuple[tuple[str, str], str]]:
    """The requests among the poison, each with the reason of its failure."""
    for record in poison.values():
        reason, value = record.header(POISON_HEADER), record.value or b""
        # A value that is too large is not read; one that would store too much is.
        if reason in _ANSWERED and len(value) <= _MAX_BYTES:
            request = MemoryRequest.model_validate_json(value)
            yield (request.project, request.request_id), reason


def _known(memory: Memory) -> NaiveRow:
    """What the model knows of a memory, less its vector."""
    scope = memory.scope
    return NaiveRow(
        scope=(scope.project, scope.user_id, scope.agent_id, scope.app_id, scope.run_id),
        text=memory.text,
        metadata=memory.metadata,
        version=memory.version,
        expires=memory.expires_at,
        deleted=memory.deleted_at is not None,
        role=memory.role,
        name=memory.name,
    )


def _status(what: str) -> RequestStatus:
    return RequestStatus.SUCCEEDED if what in ("succeeded", "unchanged") else RequestStatus.FAILED


def _reason(what: str) -> str | None:
    return None if what in ("succeeded", "unchanged") else what
