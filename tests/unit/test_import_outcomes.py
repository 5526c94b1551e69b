"""Counting what became of an import's requests."""

from __future__ import annotations

from typing import Any

from agentmem.importing.outcomes import MAX_TOLD, Outcomes
from schemas.events import EventType


def body(request_id: str, index: int = 0, count: int = 1, **fields: Any) -> dict[str, Any]:
    return {"project": "p", "request_id": request_id, "index": index, "count": count, **fields}


def expecting(*request_ids: str) -> Outcomes:
    outcomes = Outcomes()
    for request_id in request_ids:
        outcomes.pending["p", request_id] = set()
    return outcomes


def counts(outcomes: Outcomes) -> tuple[int, int, int, int]:
    return outcomes.succeeded, outcomes.unchanged, outcomes.failed, len(outcomes.pending)


def test_each_kind_is_counted() -> None:
    outcomes = expecting("a", "u", "f", "d", "w")
    outcomes.event(body("a"), EventType.ADDED)
    outcomes.event(body("u"), EventType.UNCHANGED)
    outcomes.event(body("f", reason="not_found", detail=None), EventType.FAILED)
    outcomes.dead_lettered({"project": "p", "request_id": "d"}, "request_id_conflict: other content")
    assert counts(outcomes) == (1, 1, 2, 1)
    assert outcomes.answered == 4
    assert outcomes.failures == ["request f: not_found", "request d: request_id_conflict: other content"]


def test_a_request_is_answered_by_all_of_its_events() -> None:
    outcomes = expecting("a")
    for index in (1, 1, 0):
        outcomes.event(body("a", index, count=3), EventType.DELETED)
    assert len(outcomes.pending) == 1
    outcomes.event(body("a", 2, count=3), EventType.DELETED)
    assert counts(outcomes) == (1, 0, 0, 0)


def test_others_events_and_repeated_ones_do_not_count() -> None:
    outcomes = expecting("a")
    outcomes.event(body("b"), EventType.ADDED)
    outcomes.event(body("a") | {"project": "q"}, EventType.ADDED)
    outcomes.dead_lettered({"request_id": "a"}, "of project default")
    assert len(outcomes.pending) == 1
    outcomes.event(body("a"), EventType.ADDED)
    outcomes.event(body("a"), EventType.ADDED)
    outcomes.dead_lettered({"project": "p", "request_id": "a"}, "late")
    assert counts(outcomes) == (1, 0, 0, 0)


def test_only_the_first_failures_are_told() -> None:
    ids = [str(number) for number in range(MAX_TOLD + 5)]
    outcomes = expecting(*ids)
    for request_id in ids:
        outcomes.event(body(request_id, reason="not_found", detail=None), EventType.FAILED)
    assert outcomes.failed == MAX_TOLD + 5
    assert len(outcomes.failures) == MAX_TOLD
