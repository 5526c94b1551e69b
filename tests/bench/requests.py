"""Turns as requests."""

from __future__ import annotations

from collections.abc import Sequence

from schemas.requests import MemoryRequest, Message
from tests.bench.turns import Turn


def request_of(number: int, turn: Turn, vector: Sequence[float] | None = None) -> MemoryRequest:
    """The request that adds a turn, perhaps with a vector of the caller's own."""
    return MemoryRequest(
        request_id=f"turn-{number}",
        op="add",
        user_id=turn.conversation,
        messages=(Message(content=turn.text, name=turn.name),),
        vector=None if vector is None else list(vector),
    )
