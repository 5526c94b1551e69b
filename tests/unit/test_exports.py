"""A memory as a line of an export, and back."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from schemas.exports import exported, imported, is_exported
from schemas.identity import memory_id
from schemas.memories import Memory
from schemas.requests import MemoryRequest
from schemas.scope import Scope

AT = datetime(2026, 1, 1, tzinfo=UTC)
MEMORY = Memory(memory_id("p", "r", 0), Scope("p", "alice"), "tea", 3, AT, AT)


@pytest.mark.parametrize("mark", ["id", "version", "text", "project"])
def test_a_line_is_told_by_what_every_line_has(mark: str) -> None:
    line = exported(MEMORY)
    assert is_exported(line)
    assert not is_exported({**line, "op": "add"})
    assert not is_exported({name: value for name, value in line.items() if name != mark})


def test_a_line_becomes_the_same_request_each_time() -> None:
    request = MemoryRequest.model_validate(imported(exported(MEMORY)))
    assert request.request_id == f"export:{MEMORY.id}:3"
    assert (request.scope, request.contents[0].content, request.contents[0].timestamp) == (MEMORY.scope, "tea", AT)
    assert request.content_hash() == MemoryRequest.model_validate(imported(exported(MEMORY))).content_hash()
