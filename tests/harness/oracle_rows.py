"""The oracle's part about Postgres: memories, their history, and what became of each request."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from schemas.history import HistoryEntry, RequestStatus
from schemas.memories import Memory
from schemas.requests import MemoryRequest
from streams.records import Record
from tests.harness.findings import Findings
from tests.harness.observed import Observed
from tests.harness.workload import POISON_HEADER
from tests.unit.naive import NaiveModel

#: Poison that is readable as a request: it gets a row and an event beside its dead letter.
_ANSWERED = {"invalid_vector"}

Poison = Mapping[tuple[int, int], Record]


def check_rows(seen: Observed, model: NaiveModel, findings: Findings) -> None:
    """Each memory is what the model says."""
    both = findings.same_keys("memory", seen.rows, model.rows)
    for id in both:
        row, expected = seen.rows[id], model.rows[id]
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
        findings.judge(findings.stale, f"memory {id}", found, wanted)


def check_history(seen: Observed, model: NaiveModel | None, findings: Findings, steady_clock: bool) -> None:
    """Each memory's history has no gap, ends in its row, and is as long as the model says."""
    findings.same_keys("the history of memory", seen.history, seen.rows)
    for id, entries in seen.history.items():
        versions = [entry.memory.version for entry in entries]
        findings.judge(findings.wrong, f"versions of {id}", versions, list(range(1, len(entries) + 1)))
        if model is not None:
            kinds, wanted = [entry.kind for entry in entries], model.versions.get(id, [])
            kind = findings.lost if len(kinds) < len(wanted) else findings.duplicated
            findings.judge(kind, f"changes of {id}", kinds, wanted)
        previous: HistoryEntry | None = None
        for entry in entries:
            text = previous.memory.text if previous else None
            findings.judge(findings.wrong, f"text before, of {id}", entry.previous_text, text)
            if steady_clock and previous is not None and previous.recorded_at > entry.recorded_at:
                findings.wrong.append(f"history of {id} goes back in time")
            previous = entry
        if id in seen.rows:
            findings.judge(findings.stale, f"end of {id}", _state(seen.rows[id]), _state(entries[-1].memory))


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
        if (reason := record.header(POISON_HEADER)) in _ANSWERED:
            request = MemoryRequest.model_validate_json(record.value or b"")
            yield (request.project, request.request_id), reason


def _state(memory: Memory) -> tuple[object, ...]:
    # A history row holds all of its memory but the vector.
    return (memory.scope, memory.text, memory.metadata, memory.created_at, memory.updated_at, memory.deleted_at)


def _status(what: str) -> RequestStatus:
    return RequestStatus.SUCCEEDED if what in ("succeeded", "unchanged") else RequestStatus.FAILED


def _reason(what: str) -> str | None:
    return None if what in ("succeeded", "unchanged") else what
