"""Filters as callers write them: what is understood, and how the rest is refused."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from gateway.http.problems import ApiError
from gateway.search.filters import PARTS_MAX, parse_filter
from gateway.search.selection import parse_selection
from schemas.filters import (
    AllOf,
    AnyOf,
    IdCondition,
    MetadataCondition,
    Not,
    Operator,
    Span,
    TextCondition,
    TimeCondition,
)
from schemas.scope import Scope


def test_siblings_are_anded_and_nesting_is_kept() -> None:
    found = parse_filter({"role": "user", "OR": [{"name": "a"}, {"NOT": {"name": "b"}}]}, "filters")
    role = TextCondition("role", Operator.IN, ("user",))
    a, b = (TextCondition("name", Operator.IN, (name,)) for name in "ab")
    assert found == AllOf((role, AnyOf((AllOf((a,)), AllOf((Not(AnyOf((AllOf((b,)),))),))))))


def test_a_value_may_be_plain_a_list_a_wildcard_or_null() -> None:
    present = MetadataCondition("k", Operator.PRESENT)
    for value, wanted in (
        (1, MetadataCondition("k", Operator.IN, (1,))),
        ([1, "a"], MetadataCondition("k", Operator.IN, (1, "a"))),
        ({"eq": [1]}, AllOf((MetadataCondition("k", Operator.IN, ([1],)),))),
        ({"eq": "*"}, AllOf((MetadataCondition("k", Operator.IN, ("*",)),))),
        ({"nin": [1]}, AllOf((Not(MetadataCondition("k", Operator.IN, (1,))),))),
        ("*", present),
        (None, Not(present)),
        ([1, None], AnyOf((MetadataCondition("k", Operator.IN, (1,)), Not(present)))),
        ([], AnyOf(())),
    ):
        assert parse_filter({"metadata": {"k": value}}, "filters") == AllOf((AllOf((wanted,)),))


def test_a_bare_date_is_a_whole_day() -> None:
    day = Span(datetime(2024, 1, 31, tzinfo=UTC), datetime(2024, 1, 31, 23, 59, 59, 999_999, UTC))
    found = parse_filter({"createdAt": {"lte": "2024-01-31"}}, "filters")
    assert found == AllOf((AllOf((TimeCondition("created_at", Operator.LTE, (day,)),)),))


def test_memory_ids_are_a_bare_list() -> None:
    assert parse_filter({"memoryIds": [str(UUID(int=1))]}, "f") == AllOf((IdCondition(frozenset({UUID(int=1)})),))


@pytest.mark.parametrize(
    ("filters", "code", "field"),
    [
        ({"nothing": 1}, "unknown_filter", "f.nothing"),
        ({"AND": [{"nothing": 1}]}, "unknown_filter", "f.AND.0.nothing"),
        ({">=": 1}, "unknown_filter", "f.>="),
        ({"feedback": "POSITIVE"}, "unsupported_filter", "f.feedback"),
        ({"user_id": {">=": "a"}}, "unknown_operator", "f.user_id.>="),
        ({"user_id": {"in": "a"}}, "invalid_request", "f.user_id.in"),
        ({"user_id": {"present": "a"}}, "unknown_operator", "f.user_id.present"),
        ({"user_id": {}}, "invalid_request", "f.user_id"),
        ({"user_id": 7}, "invalid_request", "f.user_id"),
        ({"user_id": ""}, "invalid_request", "f.user_id"),
        ({"created_at": {"contains": "2024"}}, "unsupported_filter", "f.created_at.contains"),
        ({"created_at": {"gt": "soon"}}, "invalid_request", "f.created_at.gt"),
        ({"metadata": {"k": {"gt": True}}}, "invalid_request", "f.metadata.k.gt"),
        ({"metadata": {"k": {"icontains": 1}}}, "invalid_request", "f.metadata.k.icontains"),
        ({"metadata": {"k": {"contains": {}}}}, "invalid_request", "f.metadata.k.contains"),
        ({"metadata": "*"}, "invalid_request", "f.metadata"),
        ({"metadata": {"k": 1e400}}, "invalid_request", "f.metadata.k"),
        ({"memory_ids": ["x"]}, "invalid_request", "f.memory_ids"),
        ({"memory_ids": "x"}, "invalid_request", "f.memory_ids"),
        ({"OR": []}, "invalid_request", "f.OR"),
        ({"NOT": ["x"]}, "invalid_request", "f.NOT.0"),
        (["x"], "invalid_request", "f"),
        ({"user_id": ["a"] * PARTS_MAX}, "invalid_request", "f"),
    ],
)
def test_what_is_not_understood_is_refused_by_name(filters: Any, code: str, field: str) -> None:
    with pytest.raises(ApiError) as caught:
        parse_filter(filters, "f")
    problem = caught.value
    assert (problem.status, problem.code, problem.extra["field"]) == (400, code, field)
    assert field in problem.detail


def test_plain_ids_become_the_scope_and_the_rest_a_filter() -> None:
    body = {
        "userId": "a",
        "filters": {"AND": [{"run_id": {"eq": "r"}}, {"app_id": "*"}, {"user_id": "b"}], "NOT": {"agent_id": "x"}},
    }
    selection = parse_selection("p", body)
    assert selection.scope == Scope("p", user_id="a", run_id="r")
    assert selection.where == AllOf(
        (
            TextCondition("app_id", Operator.PRESENT),
            TextCondition("user_id", Operator.IN, ("b",)),
            Not(AnyOf((AllOf((TextCondition("agent_id", Operator.IN, ("x",)),)),))),
        )
    )


@pytest.mark.parametrize(
    "body", [{}, {"filters": {}}, {"filters": {"metadata": {"user_id": "a"}}}, {"user_id": None}]
)
def test_some_entity_must_be_named(body: dict[str, Any]) -> None:
    with pytest.raises(ApiError) as caught:
        parse_selection("p", body)
    assert caught.value.code == "entity_required"
