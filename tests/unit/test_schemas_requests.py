from __future__ import annotations

import random
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from schemas.jsonvalues import MAX_DEPTH
from schemas.requests import MemoryRequest
from tests.unit.schemas_strategies import requests

ADD = {"request_id": "r1", "op": "add", "user_id": "alice", "text": "hello"}
UPDATE = {"request_id": "r1", "op": "update", "memory_id": "8a3b1c5e-6a4f-4c1e-9d1b-0c9a5b1f2e77"}


def shuffled(value: Any, chance: random.Random) -> Any:
    """The same JSON value with the keys of every object in another order."""
    if isinstance(value, dict):
        items = [(key, shuffled(item, chance)) for key, item in value.items()]
        chance.shuffle(items)
        return dict(items)
    return [shuffled(item, chance) for item in value] if isinstance(value, list) else value


def as_postgres_spells(value: Any) -> Any:
    """Numbers as jsonb gives them back: whole ones as integers however large, no negative zero."""
    if isinstance(value, dict):
        return {key: as_postgres_spells(item) for key, item in value.items()}
    if isinstance(value, list):
        return [as_postgres_spells(item) for item in value]
    if isinstance(value, float):
        if value.is_integer() and abs(value) >= 1e16:
            return int(f"{value:.0f}")
        return abs(value) if value == 0 else value
    return value


@given(requests)
def test_canonical_form_is_a_request_with_the_same_meaning(document: dict[str, Any]) -> None:
    request = MemoryRequest.model_validate(document)
    again = MemoryRequest.model_validate(orjson.loads(orjson.dumps(request.canonical())))
    assert again.canonical() == request.canonical()
    assert (again.scope, again.contents, again.clears_expiry) == (
        request.scope,
        request.contents,
        request.clears_expiry if request.op == "update" else False,
    )
    assert again.content_hash() == request.content_hash()


@given(requests, st.randoms(use_true_random=False))
def test_hash_does_not_depend_on_key_order_or_spelling(document: dict[str, Any], chance: random.Random) -> None:
    expected = MemoryRequest.model_validate(document).content_hash()
    through_json = orjson.loads(orjson.dumps(document))
    assert MemoryRequest.model_validate(through_json).content_hash() == expected
    assert MemoryRequest.model_validate(shuffled(document, chance)).content_hash() == expected
    assert MemoryRequest.model_validate(as_postgres_spells(document)).content_hash() == expected


@given(requests)
def test_hash_survives_the_canonical_form_kept_in_postgres(document: dict[str, Any]) -> None:
    request = MemoryRequest.model_validate(document)
    kept = as_postgres_spells(request.canonical())
    assert MemoryRequest.model_validate(kept).content_hash() == request.content_hash()


@given(requests, requests)
def test_requests_that_differ_have_hashes_that_differ(one: dict[str, Any], other: dict[str, Any]) -> None:
    first, second = MemoryRequest.model_validate(one), MemoryRequest.model_validate(other)
    assert (first.content_hash() == second.content_hash()) == (first.canonical() == second.canonical())


def test_defaults_are_not_part_of_the_canonical_form() -> None:
    spelled_out = ADD | {"schema_version": 1, "project": "default", "infer": True, "run_id": None, "vector": None}
    assert MemoryRequest.model_validate(spelled_out).canonical() == ADD


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (ADD | {"messages": [{"content": "hello"}]}, "either messages or text"),
        ({"request_id": "r", "op": "add", "user_id": "a"}, "either messages or text"),
        ({"request_id": "r", "op": "add", "text": "t"}, "at least one of user_id, agent_id, app_id, run_id"),
        (
            ADD | {"expected_version": 1, "memory_id": UPDATE["memory_id"]},
            "does not take expected_version, memory_id",
        ),
        (UPDATE, "at least one of text, metadata, expiration_date"),
        (UPDATE | {"memory_id": None, "text": "t"}, "needs memory_id"),
        (UPDATE | {"text": "t", "infer": False}, "does not take infer"),
        (UPDATE | {"metadata": {}, "vector": [1.0]}, "vector goes with exactly one text"),
        ({"request_id": "r", "op": "delete"}, "needs memory_id"),
        ({"request_id": "r", "op": "delete_all"}, "at least one of user_id"),
        ({"request_id": "r", "op": "delete_all", "user_id": "a", "text": "t"}, "does not take text"),
        (ADD | {"userid": "bob"}, "userid"),
        (ADD | {"infer": "false"}, "boolean"),
        (ADD | {"vector": ["0.5"]}, "number"),
        (ADD | {"vector": [float("nan")]}, "finite"),
        (ADD | {"metadata": {"a": float("inf")}}, "NaN and infinity"),
        (ADD | {"metadata": {"a": 10**400}}, "range of doubles"),
        (ADD | {"metadata": {"\ud800": 1}}, "lone surrogate"),
        (ADD | {"text": "\ud800"}, "unicode"),
    ],
)
def test_a_request_that_does_not_fit_is_refused_by_name(document: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        MemoryRequest.model_validate(document)


def test_metadata_may_nest_as_deep_as_it_says() -> None:
    def nested(levels: int) -> dict[str, Any]:
        return {"a": nested(levels - 1)} if levels > 1 else {}

    assert MemoryRequest.model_validate(ADD | {"metadata": nested(MAX_DEPTH)}).content_hash()
    with pytest.raises(ValidationError, match="nested deeper"):
        MemoryRequest.model_validate(ADD | {"metadata": nested(MAX_DEPTH + 1)})


def test_null_expiry_clears_it_in_an_update_only() -> None:
    assert MemoryRequest.model_validate(UPDATE | {"expiration_date": None}).clears_expiry
    assert not MemoryRequest.model_validate(UPDATE | {"text": "t"}).clears_expiry
    assert "expiration_date" not in MemoryRequest.model_validate(ADD | {"expiration_date": None}).canonical()


def test_whole_numbers_of_64_bits_are_kept_exactly() -> None:
    numbers = {"least": -(2**63), "most": 2**64 - 1, "one": 1.0, "huge": 1e22, "zero": -0.0}
    kept = MemoryRequest.model_validate(ADD | {"metadata": numbers}).metadata
    assert repr(kept) == repr({"least": -(2**63), "most": 2**64 - 1, "one": 1, "huge": 1e22, "zero": 0})
