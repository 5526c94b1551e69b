"""Requests of every kind, as the JSON documents that a producer would send."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from hypothesis import strategies as st

from schemas.scope import ENTITY_FIELDS

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=20)
ids = st.one_of(st.sampled_from(["alice", "alice-2", "a/b", "a:b", "a%2Fb", "ünï 💡", "user:x"]), texts)
numbers = st.one_of(st.integers(-(2**63), 2**64 - 1), st.floats(allow_nan=False, allow_infinity=False))
json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), numbers, texts),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(texts, inner, max_size=3)),
    max_leaves=8,
)
metadata = st.dictionaries(texts, json_values, max_size=3)
unix_times = st.one_of(st.integers(-(10**9), 10**10), st.floats(-(10.0**9), 10.0**10))
datetimes = st.datetimes(datetime(1900, 1, 1), datetime(2900, 1, 1), timezones=st.just(UTC))
times = st.one_of(unix_times, datetimes.map(datetime.isoformat), st.dates().map(str))
vectors = st.lists(st.floats(-1, 1), min_size=1, max_size=4)
uuids = st.uuids().map(str)
present = st.lists(st.sampled_from(ENTITY_FIELDS), min_size=1, max_size=4)
messages = st.lists(
    st.fixed_dictionaries(
        {"content": texts}, optional={"role": texts, "name": st.none() | texts, "timestamp": st.none() | times}
    ),
    min_size=1,
    max_size=3,
)
_COMMON: dict[str, st.SearchStrategy[Any]] = {
    "schema_version": st.just(1),
    "project": ids,
    "timestamp": st.none() | times,
    **{field: st.none() | ids for field in ENTITY_FIELDS},
}
_EXTRAS: dict[str, st.SearchStrategy[Any]] = {
    "metadata": st.none() | metadata,
    "expiration_date": st.none() | times,
}


def _request(op: str, needs: dict[str, Any], may: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    must = {"request_id": texts, "op": st.just(op), **needs}
    return st.fixed_dictionaries(must, optional={k: v for k, v in (_COMMON | may).items() if k not in needs})


requests: st.SearchStrategy[dict[str, Any]] = st.one_of(
    _request("add", {"user_id": ids, "messages": messages}, _EXTRAS | {"infer": st.booleans()}),
    _request("add", {"run_id": ids, "text": texts}, _EXTRAS | {"vector": st.none() | vectors}),
    _request("update", {"memory_id": uuids, "text": texts}, _EXTRAS | {"vector": vectors}),
    _request(
        "update", {"memory_id": uuids, "expiration_date": st.none() | times}, {"expected_version": st.just(3)}
    ),
    _request("delete", {"memory_id": uuids}, {"expected_version": st.none() | st.integers(1, 9)}),
    _request("delete_all", {"agent_id": ids}, {"present": st.none() | present}),
    _request("delete_all", {"present": present}, {}),
)
"""Requests that the model takes."""

_VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.just(""),
    texts,
    st.just([]),
    st.just({}),
    times,
    messages,
    vectors,
    metadata,
    uuids,
)
_FIELDS = [
    *_COMMON,
    *_EXTRAS,
    "request_id",
    "op",
    "messages",
    "text",
    "infer",
    "vector",
    "memory_id",
    "present",
    "typo",
]


@st.composite
def damaged_requests(draw: st.DrawFn) -> dict[str, Any]:
    """Requests with a field or two left out or set to what may not fit."""
    document = draw(requests)
    for field in draw(st.lists(st.sampled_from(_FIELDS), min_size=1, max_size=2)):
        if draw(st.booleans()):
            document.pop(field, None)
        else:
            document[field] = draw(_VALUES)
    return document
