"""Hypothesis strategies: sequences of requests that meet each other's memories."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from schemas.identity import memory_id
from schemas.requests import MemoryRequest
from schemas.scope import ENTITY_FIELDS

TEXTS = st.sampled_from(["likes tea", "likes coffee", "lives in Bern", "Grüße 🌍"])
METADATA: st.SearchStrategy[dict[str, Any] | None] = st.one_of(
    st.none(), st.just({}), st.dictionaries(st.sampled_from("ab"), st.integers(0, 2), max_size=2)
)
EXPIRY = st.sampled_from(["2030-01-31", "2031-01-31T10:00:00Z"])
VECTORS = st.none() | st.sampled_from([[3.0, 4.0], [0.0, 0.5], [-1.0, 1e-3]])
PROJECTS = st.sampled_from(["default", "other"])
USERS = st.sampled_from(["alice", "alice-2", "bob"])


@st.composite
def requests(draw: st.DrawFn, *, barriers: bool = False, max_size: int = 30) -> list[MemoryRequest]:
    """Requests in log order; updates and deletes mostly name memories that an earlier ``add`` made."""
    made: list[MemoryRequest] = []
    ops = ["add", "update", "delete", *(["delete_all"] if barriers else [])]
    for number in range(draw(st.integers(0, max_size))):
        if made and draw(st.integers(0, 9)) == 0:
            again: MemoryRequest = draw(st.sampled_from(made))  # a redelivery
            made.append(again)
            continue
        op = draw(st.sampled_from(ops))
        fields: dict[str, Any] = {"request_id": f"r{number}", "op": op, "project": draw(PROJECTS)}
        if op == "delete_all" and draw(st.integers(0, 3)) == 0:
            fields["present"] = draw(st.sampled_from([("run_id",), ("user_id", "run_id"), ENTITY_FIELDS]))
        elif op in ("add", "delete_all"):
            fields["user_id"] = draw(USERS)
            if draw(st.booleans()):
                fields["run_id"] = draw(st.sampled_from(["run-1", "run-2"]))
        if op == "add":
            fields |= _add(draw)
        elif op in ("update", "delete"):
            fields |= _change(draw, op, made)
        made.append(MemoryRequest.model_validate(fields))
    return made


def _add(draw: st.DrawFn) -> dict[str, Any]:
    texts = draw(st.lists(TEXTS, min_size=1, max_size=3))
    fields: dict[str, Any] = {"messages": [{"role": "user", "content": text} for text in texts]}
    if len(texts) == 1 and (vector := draw(VECTORS)):
        fields["vector"] = vector
    if metadata := draw(METADATA):
        fields["metadata"] = metadata
    if draw(st.booleans()):
        fields["expiration_date"] = draw(EXPIRY)
    return fields


def _change(draw: st.DrawFn, op: str, made: list[MemoryRequest]) -> dict[str, Any]:
    adds = [request for request in made if request.op == "add"]
    named: int = draw(st.integers(0, 9))
    if adds and named:
        add = draw(st.sampled_from(adds))
        index = draw(st.integers(0, len(add.contents) - 1))
        fields: dict[str, Any] = {"memory_id": str(memory_id(add.project, add.request_id, index))}
        if draw(st.integers(0, 4)):
            fields["project"] = add.project
        if draw(st.booleans()):
            fields["user_id"] = draw(st.sampled_from([add.user_id, "alice"]))
    else:
        fields = {"memory_id": draw(st.uuids()).hex}
    if draw(st.integers(0, 3)) == 0:
        fields["expected_version"] = draw(st.integers(1, 3))
    if op == "update":
        changes = {
            "text": draw(TEXTS),
            "metadata": draw(METADATA) or {},
            "expiration_date": draw(st.none() | EXPIRY),
        }
        for name in draw(st.sets(st.sampled_from(sorted(changes)), min_size=1)):
            fields[name] = changes[name]
        if "text" in fields and (vector := draw(VECTORS)):
            fields["vector"] = vector
    return fields
