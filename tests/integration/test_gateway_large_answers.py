"""What is too large for one answer is refused, and had in several."""

from __future__ import annotations

from typing import Any

import pytest

from infra.postgres import bounded
from tests.integration.gateway_world import World

_READS = [
    ("POST", "/v3/memories/?page_size={}", {"filters": {"user_id": "alice"}}),
    ("GET", "/v1/memories/?user_id=alice&page_size={}", None),
    ("POST", "/v3/memories/search/", {"query": "tea", "threshold": 0, "filters": {"user_id": "alice"}}),
]


@pytest.mark.parametrize(("method", "path", "body"), _READS)
async def test_fewer_at_a_time_are_had(
    world: World, monkeypatch: pytest.MonkeyPatch, method: str, path: str, body: dict[str, Any] | None
) -> None:
    text = "I drink tea. "
    await world.add([text + "x" * 1_000, text + "y" * 1_000])

    async def answer(number: int) -> tuple[int, Any]:
        asked = {**body, "top_k": number} if body and "query" in body else body
        return await world.answer(method, path.format(number), asked)

    status, found = await answer(2)
    assert (status, len(found["results"])) == (200, 2)
    monkeypatch.setattr(bounded, "READ_MAX_BYTES", 1_500)
    status, problem = await answer(2)
    assert (status, problem["code"]) == (400, "answer_too_large")
    assert "fewer" in problem["detail"]
    status, found = await answer(1)
    assert (status, len(found["results"])) == (200, 1)
