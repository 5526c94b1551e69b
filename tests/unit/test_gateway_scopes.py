"""Entity ids of writes: exact, nowhere ignored, refused by name."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.http.problems import ApiError
from gateway.writes.scopes import parse_scope
from schemas.scope import Scope


@pytest.mark.parametrize(
    ("body", "ids"),
    [
        ({"user_id": "a"}, {"user_id": "a"}),
        ({"filters": {"user_id": "a", "run_id": "r"}}, {"user_id": "a", "run_id": "r"}),
        ({"filters": {"userId": "a"}}, {"user_id": "a"}),
        ({"filters": {"AND": [{"user_id": "a"}, {"agent_id": "b"}]}}, {"user_id": "a", "agent_id": "b"}),
        ({"filters": {"AND": [{"AND": {"appId": "x"}}]}}, {"app_id": "x"}),
        ({"user_id": "a", "filters": {"user_id": "a", "app_id": "x"}}, {"user_id": "a", "app_id": "x"}),
        ({"user_id": None, "agent_id": "b"}, {"agent_id": "b"}),
    ],
)
def test_ids_are_found_wherever_they_may_stand(body: dict[str, Any], ids: dict[str, str]) -> None:
    assert parse_scope("p", body) == Scope("p", **ids)


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        ({}, "entity_required", "filters"),
        ({"filters": {}}, "entity_required", "filters"),
        ({"filters": {"AND": []}}, "entity_required", "filters"),
        ({"filters": {"user_id": "a", "OR": []}}, "unsupported_filter", "filters.OR"),
        ({"filters": {"AND": [{"NOT": {"user_id": "a"}}]}}, "unsupported_filter", "filters.AND.0.NOT"),
        ({"filters": {"user_id": "a", "metadata": {"k": 1}}}, "unsupported_filter", "filters.metadata"),
        ({"filters": {"user_id": {"in": ["a"]}}}, "unsupported_filter", "filters.user_id"),
        ({"filters": {"user_id": "*"}}, "unsupported_filter", "user_id"),
        ({"user_id": "*"}, "unsupported_filter", "user_id"),
        ({"filters": {"usr_id": "a"}}, "unsupported_filter", "filters.usr_id"),
        ({"filters": {"user_id": "a", ">=": 1}}, "unsupported_filter", "filters.>="),
        ({"filters": ["user_id"]}, "invalid_request", "filters"),
        ({"filters": {"user_id": 7}}, "invalid_request", "filters.user_id"),
        ({"filters": {"user_id": None}}, "invalid_request", "filters.user_id"),
        ({"user_id": ""}, "invalid_request", "user_id"),
        ({"user_id": "a" * 257}, "invalid_request", "user_id"),
        ({"user_id": "a", "filters": {"user_id": "b"}}, "invalid_request", "filters.user_id"),
    ],
)
def test_anything_else_is_refused_by_name(body: dict[str, Any], code: str, field: str) -> None:
    with pytest.raises(ApiError) as caught:
        parse_scope("p", body)
    problem = caught.value
    assert (problem.status, problem.code, problem.extra["field"]) == (400, code, field)
    assert field in problem.detail
