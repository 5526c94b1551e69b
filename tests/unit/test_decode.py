"""Bytes become a request, or a reason why not."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.stages.decode import decode
from schemas.problems import DeadLetterReason, RecordRejectedError
from streams.records import Record

GOOD: dict[str, Any] = {"request_id": "r", "op": "add", "user_id": "alice", "text": "likes tea"}


def record(value: bytes | None) -> Record:
    return Record("t", 0, 0, 0.0, b"k", value)


def refusal(value: bytes | None, max_bytes: int = 10_000) -> RecordRejectedError:
    with pytest.raises(RecordRejectedError) as caught:
        decode(record(value), max_bytes)
    return caught.value


def verdict(value: bytes) -> str:
    try:
        decode(record(value), 10_000)
    except RecordRejectedError as error:
        return error.reason
    return "ok"


def test_a_request() -> None:
    request = decode(record(json.dumps(GOOD).encode()), 10_000)
    assert (request.request_id, request.text) == ("r", "likes tea")


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "null_value"),
        (b"", "invalid_json"),
        (b"{", "invalid_json"),
        (b'{"a": NaN}', "invalid_json"),
        (b'{"a": 1e999}', "invalid_json"),
        (b"[" * 100_000, "too_large"),
        (b"[" * 9_000, "invalid_json"),
        (b'{"a": "\xff"}', "invalid_utf8"),
        (b'{"text": "\\u0000"}', "invalid_text"),
        (b'{"a\\u0000": 1}', "invalid_text"),
        (b'{"metadata": {"a": ["\\u0000"]}}', "invalid_text"),
        (b'{"text": "\\ud800"}', "invalid_text"),
        (b'{"metadata": {"\\udfff": 1}}', "invalid_text"),
        (b"[]", "invalid_schema"),
        (b"null", "invalid_schema"),
        (b'"text"', "invalid_schema"),
        (b"{}", "invalid_schema"),
        (json.dumps({**GOOD, "schema_version": 2}).encode(), "unsupported_schema_version"),
        (json.dumps({**GOOD, "schema_version": 0}).encode(), "invalid_schema"),
        (json.dumps({**GOOD, "op": "upsert"}).encode(), "invalid_schema"),
        (json.dumps({**GOOD, "txt": "typo"}).encode(), "invalid_schema"),
        (json.dumps({**GOOD, "text": 5}).encode(), "invalid_schema"),
        (json.dumps({**GOOD, "vector": [1, "a"]}).encode(), "invalid_schema"),
    ],
)
def test_poison_has_a_reason(value: bytes | None, reason: str) -> None:
    assert refusal(value).reason == reason


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"text": None, "messages": [{"content": "x"}] * 1_000, "metadata": {"a": "y" * 60_000}}, "too_large"),
        ({"metadata": {"a": [{}] * 30_000}}, "invalid_schema"),
    ],
    ids=["multiplied", "many values"],
)
def test_what_would_take_many_times_its_bytes_is_refused(fields: dict[str, Any], reason: str) -> None:
    error = refusal(json.dumps(GOOD | fields).encode(), max_bytes=1_000_000)
    assert error.reason == reason
    assert "metadata" in error.detail


def test_an_escaped_backslash_before_u0000_is_a_text_like_any_other() -> None:
    assert decode(record(json.dumps({**GOOD, "text": "\\u0000"}).encode()), 10_000).text == "\\u0000"


def test_the_detail_names_the_field_and_keeps_the_value_private() -> None:
    error = refusal(json.dumps({**GOOD, "memory_idd": "hush"}).encode())
    assert "memory_idd" in error.detail
    assert "hush" not in error.detail


@given(st.binary(max_size=200))
def test_any_bytes_are_a_request_or_have_a_reason(value: bytes) -> None:
    assert verdict(value) in {"ok", *DeadLetterReason}


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None)),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=8,
    )
)
def test_any_metadata_is_taken_or_has_a_reason(value: object) -> None:
    document = json.dumps({**GOOD, "metadata": {"a": value}})
    assert verdict(document.encode()) in ("ok", "invalid_text", "invalid_json", "invalid_schema")
