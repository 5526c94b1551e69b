"""Bodies as mem0's clients send them."""

from __future__ import annotations

from datetime import UTC, datetime, time
from typing import Any

import pytest

from gateway.http.jsonio import MAX_DEPTH, MAX_PARTS, MAX_TEXT, loads_object
from gateway.http.problems import ApiError
from gateway.search.querying import parse_list, parse_search
from gateway.writes.adding import parse_add
from gateway.writes.idempotency import keyed_id, part_id
from schemas.requests import MemoryRequest
from schemas.scope import Scope


def add(**body: Any) -> MemoryRequest:
    return parse_add("p", {"user_id": "a", "messages": "hello", **body}, "r1")


def test_a_text_is_one_message_of_the_user() -> None:
    request = add()
    assert [(m.role, m.content) for m in request.contents] == [("user", "hello")]
    assert (request.project, request.user_id, request.infer) == ("p", "a", True)


def test_messages_keep_role_name_and_time_and_lose_what_is_not_ours() -> None:
    request = add(
        messages=[
            {"role": "assistant", "content": "hi", "name": "Ada", "timestamp": 0, "refusal": None},
            {"role": "user", "content": "ho", "tool_calls": []},
        ]
    )
    assert [(m.role, m.content, m.name) for m in request.contents] == [
        ("assistant", "hi", "Ada"),
        ("user", "ho", None),
    ]
    assert request.contents[0].timestamp == datetime(1970, 1, 1, tzinfo=UTC)


def test_the_options_of_an_add() -> None:
    request = add(metadata={"k": [1]}, infer=False, timestamp=1.5, expiration_date="2030-01-31", version="v2")
    assert (request.metadata, request.infer) == ({"k": [1]}, False)
    assert request.expiration_date == datetime.combine(datetime(2030, 1, 31), time.max, UTC)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"messages": []}, "messages"),
        ({"messages": None}, "messages"),
        ({"messages": 7}, "messages"),
        ({"messages": [7]}, "messages.0"),
        ({"messages": [{"role": "user"}]}, "messages.0.content"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages.0.content"),
        ({"metadata": "x"}, "metadata"),
        ({"timestamp": "yesterday"}, "timestamp"),
        ({"expiration_date": "2030-02-31"}, "expiration_date"),
        ({"infer": "perhaps"}, "infer"),
        ({"custom_instructions": "be brief"}, "custom_instructions"),
        ({"custom_categories": [{"a": "b"}]}, "custom_categories"),
    ],
)
def test_a_bad_add_names_its_field(body: dict[str, Any], field: str) -> None:
    with pytest.raises(ApiError) as caught:
        add(**body)
    assert caught.value.status == 400
    assert caught.value.extra["field"] == field


def test_the_idempotency_key_decides_the_request_id_of_a_call() -> None:
    first = keyed_id("p", "POST", "/v1/memories/", "key")
    assert keyed_id("p", "POST", "//v1/memories", "key") == first
    others = [
        keyed_id("q", "POST", "/v1/memories/", "key"),
        keyed_id("p", "DELETE", "/v1/memories/", "key"),
        keyed_id("p", "POST", "/v1/memories/x", "key"),
        keyed_id("p", "POST", "/v1/memories/", "yek"),
        part_id(first, 0),
        part_id(first, 1),
    ]
    assert len({first, *others}) == len(others) + 1
    for bad in ("", "\x80", "a" * 256):
        with pytest.raises(ApiError, match="Idempotency-Key"):
            keyed_id("p", "POST", "/", bad)


def test_a_search_has_defaults_and_limits() -> None:
    query, fields = parse_search("p", {"query": " what? ", "filters": {"user_id": "a"}, "output_format": "v1.1"})
    assert (query.text, query.top_k, query.threshold, query.show_expired) == ("what?", 10, 0.1, False)
    assert (query.scope, query.where, fields) == (Scope("p", user_id="a"), None, [])
    for bad in ({"query": "  "}, {"top_k": 0}, {"top_k": 1001}, {"threshold": -1}, {"rerank": True}):
        with pytest.raises(ApiError) as caught:
            parse_search("p", {"query": "x", "user_id": "a", **bad})
        assert caught.value.extra["field"] == next(iter(bad))
    assert parse_search("p", {"query": "x", "user_id": "a", "limit": 3})[0].top_k == 3


def test_unsupported_fields_pass_while_they_are_off() -> None:
    parse_search("p", {"query": "x", "user_id": "a", "rerank": False, "fields": [], "categories": []})


def test_pages_come_from_the_url_or_the_body() -> None:
    body = {"user_id": "a", "page_size": 5}
    selection, page = parse_list("p", body, {"page": "3"})
    assert (selection.scope.ids, page.page, page.page_size, page.offset) == ({"user_id": "a"}, 3, 5, 10)
    for query in ({"page": "0"}, {"page": "x"}, {"page": str(10**12)}, {"page_size": "1001"}):
        with pytest.raises(ApiError) as caught:
            parse_list("p", body, query)
        assert caught.value.extra["field"] == next(iter(query))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"{",
        b'{"a": "\\u0000"}',
        b'{"\\u0000": 1}',
        b'{"a": ' + b"[" * 40 + b"]" * 40 + b"}",
        b'{"a":"\xff"}',
    ],
)
def test_json_that_cannot_be_stored_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"body|text"):
        loads_object(data)


def test_json_within_the_bounds_is_read() -> None:
    depth = MAX_DEPTH - 1
    document = loads_object(b'{"a": ' + b"[" * depth + b"]" * depth + b', "b": "\\\\u0000"}')
    assert document["b"] == "\\u0000"


@pytest.mark.parametrize(("part", "of"), [("{}", "[{}]"), ("1", "[{}]"), ('"{n}": 1', "{{{}}}")])
def test_a_body_holds_so_many_values(part: str, of: str) -> None:
    def body(count: int) -> bytes:
        parts = ",".join(part.replace("{n}", str(number)) for number in range(count))
        return f'{{"a": {of.format(parts)}}}'.encode()

    assert loads_object(body(MAX_PARTS - 1))
    with pytest.raises(ValueError, match="more than 50000 values"):
        loads_object(body(MAX_PARTS))


def test_a_text_has_an_end() -> None:
    assert loads_object(b'{"a": "%s"}' % (b"x" * MAX_TEXT))
    with pytest.raises(ValueError, match="more than 500000 characters"):
        loads_object(b'{"a": "%s"}' % (b"x" * (MAX_TEXT + 1)))
