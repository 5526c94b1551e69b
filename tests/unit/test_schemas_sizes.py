"""What a request stores, which may be many times what it brings."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from schemas.jsonvalues import MAX_PARTS
from schemas.requests import MAX_MESSAGES, MemoryRequest
from schemas.sizes import MAX_STORED_BYTES, oversize, stored_size


def add(count: int = 1, **fields: Any) -> MemoryRequest:
    messages = [{"content": "x"}] * count
    return MemoryRequest.model_validate(
        {"request_id": "r", "op": "add", "user_id": "alice", "messages": messages, **fields}
    )


def test_every_message_is_stored_with_all_the_metadata() -> None:
    large = {"a": "y" * 10_000}
    one, ten = stored_size(add(1, metadata=large)), stored_size(add(10, metadata=large))
    assert ten == 10 * one
    assert 100_000 < ten < 120_000


def test_every_message_is_stored_with_the_ids() -> None:
    assert stored_size(add(10, run_id="z" * 256)) - stored_size(add(10)) >= 10 * 256


def test_many_values_weigh_more_than_their_bytes() -> None:
    assert stored_size(add(metadata={"a": [{}] * 1_000})) > 50_000


def test_all_messages_with_some_metadata_are_taken() -> None:
    metadata: dict[str, Any] = {f"field {number}": "y" * 50 for number in range(30)} | {"a": "z" * 200}
    texts = [{"content": "x" * 900}] * MAX_MESSAGES
    assert oversize(add(metadata=metadata, messages=texts)) is None


def test_a_lone_message_is_taken_whatever_its_metadata() -> None:
    assert oversize(add(metadata={"a": "y" * 1_000_000, "b": [0] * (MAX_PARTS - 2)})) is None


@pytest.mark.parametrize("metadata", [{"a": "y" * 60_000}, {"a": [{}] * 1_000}], ids=["bytes", "values"])
def test_a_small_request_that_would_store_too_much(metadata: dict[str, Any]) -> None:
    problem = oversize(add(MAX_MESSAGES, metadata=metadata))
    assert problem is not None
    assert f"of the {MAX_STORED_BYTES} allowed" in problem


@pytest.mark.parametrize("many", [lambda n: {"a": [{}] * (n - 1)}, lambda n: {str(i): i for i in range(n)}])
def test_metadata_holds_so_many_values(many: Any) -> None:
    assert add(metadata=many(MAX_PARTS))
    with pytest.raises(ValidationError, match="more than 20000 values"):
        add(metadata=many(MAX_PARTS + 1))
