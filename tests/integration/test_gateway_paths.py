"""The same operations by every path that clients know them by."""

from __future__ import annotations

from typing import Any

import pytest
from yarl import URL

from tests.integration.gateway_world import World


async def test_the_self_hosted_servers_paths(world: World) -> None:
    added = await world.call("POST", "/memories", {"messages": [{"content": "I like tea"}], "user_id": "alice"})
    [result] = added["results"]
    assert (result["memory"], result["event"]) == ("I like tea", "ADD")
    path = f"/memories/{result['id']}"
    assert (await world.call("GET", path))["memory"] == "I like tea"
    await world.call("PUT", path, {"text": "I like coffee"})
    listed = await world.call("GET", "/memories?user_id=alice")
    assert [one["memory"] for one in listed["results"]] == ["I like coffee"]
    body = {"query": "drinks", "user_id": "alice", "limit": 1}
    assert [one["id"] for one in (await world.call("POST", "/search", body))["results"]] == [result["id"]]
    await world.call("DELETE", path)
    assert [one["event"] for one in await world.call("GET", f"{path}/history")] == ["ADD", "UPDATE", "DELETE"]
    await world.call("POST", "/memories", {"messages": "again", "user_id": "alice"})
    await world.call("DELETE", "/memories?user_id=alice")
    await world.call("POST", "/memories", {"messages": "again", "agent_id": "helper"})
    await world.call("POST", "/reset?confirm=ours")
    assert (await world.call("GET", "/v1/entities/"))["count"] == 0


@pytest.mark.parametrize("version", ["v1", "v2"])
async def test_older_versions_paths(world: World, version: str) -> None:
    body: dict[str, Any] = {"messages": "I like tea", "user_id": "alice", "infer": False}
    added = await world.call("POST", f"/{version}/memories/", body)
    body = {"query": "drinks", "filters": {"user_id": "alice"}}
    found = await world.call("POST", f"/{version}/memories/search/", body)
    assert [one["id"] for one in found["results"]] == [one["id"] for one in added["results"]]
    if version == "v2":
        listed = await world.call("POST", "/v2/memories/", {"filters": {"user_id": "alice"}})
        assert listed["count"] == 1


async def test_a_list_with_everything_in_the_query(world: World) -> None:
    for number in range(3):
        await world.add(f"number {number}", metadata={"n": number}, timestamp=number)
    filters = '{"AND": [{"user_id": "alice"}, {"metadata": {"n": {"gt": 0}}}]}'
    query = {"filters": filters, "page_size": "1"}
    first = await world.call("GET", str(URL("/v1/memories").with_query(query)))
    assert (first["count"], [one["memory"] for one in first["results"]]) == (2, ["number 2"])
    next_path = first["next"].removeprefix(str(world.client.make_url("")).rstrip("/"))
    second = await world.call("GET", next_path)
    assert ([one["memory"] for one in second["results"]], second["next"]) == (["number 1"], None)
    for bad in (
        "/v1/memories",
        "/v1/memories?filters=[object Object]",
        "/v1/memories?user_id=a&page=0",
        "/v1/memories?user_id=%00",
    ):
        assert (await world.answer("GET", bad))[0] == 400


async def test_what_only_a_language_model_could_do_is_refused_by_name(world: World) -> None:
    for method, path in (("POST", "/v1/exports/"), ("GET", "/v2/profiles/settings/"), ("POST", "/v1/summary/")):
        status, problem = await world.answer(method, path, {} if method == "POST" else None)
        assert (status, problem["code"]) == (400, "unsupported_operation")
    foreign = "/api/v1/orgs/organizations/agentmem/projects/theirs/"
    assert (await world.answer("GET", foreign))[0] == 404
