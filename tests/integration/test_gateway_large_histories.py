"""What became of requests and memories, when all of it is too large for one answer."""

from __future__ import annotations

import pytest

from infra.postgres import bounded
from tests.integration.gateway_world import World

_TEXTS = ["I drink tea. " + letter * 1_000 for letter in "xyz"]


async def test_fewer_requests_at_a_time_are_had(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for text in _TEXTS:
        await world.add(text)
    found = await world.call("GET", "/v1/events/?page_size=2")
    assert [one["results"][0]["memory"] for one in found["results"]] == _TEXTS[:0:-1]
    monkeypatch.setattr(bounded, "READ_MAX_BYTES", 1_500)
    status, problem = await world.answer("GET", "/v1/events/?page_size=2")
    assert (status, problem["code"]) == (400, "answer_too_large")
    found = await world.call("GET", "/v1/events/?page_size=1")
    assert [one["results"][0]["memory"] for one in found["results"]] == _TEXTS[:1:-1]


async def test_what_became_of_a_request_is_told_however_much_it_changed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.add(_TEXTS)
    monkeypatch.setattr(bounded, "READ_MAX_BYTES", 2_500)
    deleted = await world.call("DELETE", "/v1/memories/?user_id=alice")
    assert deleted["status"] == "SUCCEEDED"
    told = await world.call("GET", f"/v1/event/{deleted['event_id']}/")
    [listed] = (await world.call("GET", "/v1/events/?page_size=1"))["results"]
    for one in told, listed:
        assert (one["status"], len(one["results"])) == ("SUCCEEDED", 2)


async def test_a_memory_with_a_large_history_is_had_as_of_a_past_moment(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    [added] = (await world.add(_TEXTS[0]))["results"]
    path = f"/v1/memories/{added['id']}/"
    await world.call("PUT", path, {"text": _TEXTS[1], "metadata": {"seen": True}})
    first, second = await world.call("GET", f"{path}history/")
    assert [first["new_memory"], second["old_memory"], second["new_memory"]] == [*_TEXTS[:1] * 2, _TEXTS[1]]
    assert (first["metadata"], second["metadata"]) == ({}, {"seen": True})
    monkeypatch.setattr(bounded, "READ_MAX_BYTES", 2_500)
    status, problem = await world.answer("GET", f"{path}history/")
    assert (status, problem["code"]) == (400, "answer_too_large")
    assert "as_of" in problem["detail"]
    past = await world.call("GET", f"{path}?as_of={first['updated_at']}")
    assert past["memory"] == _TEXTS[0]
