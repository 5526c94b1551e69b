"""The calls that the gateway is measured with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from schemas.identity import memory_id
from schemas.requests import DEFAULT_PROJECT
from tests.bench.requests import request_of
from tests.bench.turns import Turn

KINDS: Final = ("add", "get", "list", "search")


@dataclass(frozen=True, slots=True)
class Call:
    """One HTTP call."""

    kind: str
    method: str
    path: str
    body: Any = None


HEALTH: Final = Call("health", "GET", "/health/ready")


def calls(stored: Sequence[Turn], fresh: Sequence[Turn]) -> list[Call]:
    """One call of each kind in turn for every fresh turn; those that read ask for what is stored."""
    made = []
    for number, turn in enumerate(fresh):
        known = number % len(stored)
        id = memory_id(DEFAULT_PROJECT, request_of(known, stored[known]).request_id, 0)
        filters = {"user_id": stored[known].conversation}
        messages = [{"role": "user", "name": turn.name, "content": turn.text}]
        made += [
            Call("add", "POST", "/v3/memories/add/", {"messages": messages, "user_id": turn.conversation}),
            Call("get", "GET", f"/v1/memories/{id}/"),
            Call("list", "POST", "/v3/memories/", {"filters": filters}),
            Call("search", "POST", "/v3/memories/search/", {"query": turn.text, "filters": filters}),
        ]
    return made
