"""Which records are stored together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from agents.items import Item, Rejected
from agents.segments import segments
from schemas.problems import DeadLetterReason, RecordRejectedError
from schemas.requests import MemoryRequest
from schemas.sizes import TOGETHER_BYTES, stored_size
from tests.harness.items import item

_METADATA = {"a": "y" * 900_000}
_LARGE_MEMORY = UUID(int=1)
_HELD = {("default", "l"): 900_000}


def request(**fields: Any) -> MemoryRequest:
    return MemoryRequest.model_validate({"request_id": "r", "user_id": "alice", **fields})


def rejected() -> Rejected:
    one = item(request(op="add", text="x"))
    return one.rejected(RecordRejectedError(DeadLetterReason.INVALID_VECTOR, ""), "embed")


MAKERS: dict[str, Callable[[], Item | Rejected]] = {
    "small": lambda: item(request(op="add", text="x")),
    "large": lambda: item(request(op="add", text="x", metadata=_METADATA)),
    "larger than what is stored together": lambda: item(
        request(op="add", messages=[{"content": "x"}] * 4, metadata=_METADATA)
    ),
    "of a large memory": lambda: item(request(op="update", memory_id=_LARGE_MEMORY, request_id="l", metadata={})),
    "barrier": lambda: item(request(op="delete_all")),
    "rejected": rejected,
}


@given(st.lists(st.sampled_from(sorted(MAKERS)), max_size=20))
def test_all_records_in_order_and_large_ones_apart(kinds: list[str]) -> None:
    entries = [MAKERS[kind]() for kind in kinds]
    parts = list(segments(entries, _HELD))
    flat = [one for part in parts for one in (part if isinstance(part, list) else [part])]
    assert [id(one) for one in flat] == [id(one) for one in entries]
    for part in parts:
        if isinstance(part, list):
            together = sum(stored_size(one.request) + _HELD.get(one.key, 0) for one in part)
            assert len(part) == 1 or together <= TOGETHER_BYTES
            assert all(one.request.op != "delete_all" for one in part)
        else:
            assert isinstance(part, Rejected) or part.request.op == "delete_all"


def test_small_records_are_stored_together() -> None:
    entries: list[Item | Rejected] = [item(request(op="add", text="x", metadata={"a": "y" * 1_000}))] * 256
    assert [len(part) for part in segments(entries, {}) if isinstance(part, list)] == [256]
