"""mem0's Python clients, unmodified, against the gateway."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path
from tempfile import mkdtemp
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.integration.gateway_world import World, eventually

# Read when mem0 is imported: nothing is reported to anybody, nothing is written to the home directory.
os.environ["MEM0_TELEMETRY"] = "False"
os.environ["MEM0_DIR"] = str(Path(mkdtemp(prefix="mem0-")))

from mem0 import AsyncMemoryClient, MemoryClient
from mem0.exceptions import AuthenticationError, MemoryNotFoundError, ValidationError

Call = Callable[..., Awaitable[Any]]


@pytest.fixture(params=[MemoryClient, AsyncMemoryClient])
async def call(request: pytest.FixtureRequest, world: World) -> AsyncIterator[Call]:
    """Calls a method of either client by its name: ``await call("get", id)``."""
    host = str(world.client.make_url("/"))
    client = await asyncio.to_thread(request.param, api_key=world.token, host=host)

    async def run(name: str, *arguments: Any, **options: Any) -> Any:
        method: Any = client
        for part in name.split("."):
            method = getattr(method, part)
        if asyncio.iscoroutinefunction(method):
            return await method(*arguments, **options)
        return await asyncio.to_thread(partial(method, *arguments, **options))

    yield run
    await _close(client)


async def _close(client: Any) -> None:
    if isinstance(client, AsyncMemoryClient):
        await client.async_client.aclose()
    else:
        client.client.close()


async def add(call: Call, text: str, user: str = "alice", **options: Any) -> str:
    answer = await call("add", text, user_id=user, infer=False, **options)
    assert answer["status"] == "SUCCEEDED"
    id: str = answer["results"][0]["id"]
    return id


async def test_an_add_as_every_caller_makes_it_leads_to_a_memory(call: Call) -> None:
    messages = [{"role": "user", "content": "I like tea"}, {"role": "assistant", "content": "Noted"}]
    answer = await call("add", messages, filters={"user_id": "alice"})
    assert (answer["status"], set(answer)) == ("PENDING", {"event_id", "status", "message"})

    async def found() -> bool:
        results = (await call("search", "What do you know about me?", filters={"user_id": "alice"}))["results"]
        return {one["memory"] for one in results} == {"I like tea", "Noted"}

    await eventually(found)  # without a wait of the gateway's, the index may come after the rows
    assert (await call("get_all", filters={"user_id": "alice"}))["count"] == 2


async def test_what_is_added_is_read_listed_searched_changed_and_deleted(call: Call) -> None:
    metadata = {"a": [1, {"b": None}]}
    options: dict[str, Any] = {"timestamp": 1_700_000_000, "expiration_date": "2099-01-31", "run_id": "r"}
    id = await add(call, "I play the violin", metadata=metadata, **options)
    memory = await call("get", id)
    assert (memory["memory"], memory["metadata"], memory["run_id"]) == ("I play the violin", metadata, "r")
    found = await call("search", "music", filters={"user_id": "alice"}, top_k=3, threshold=0.1, fields=["memory"])
    assert [(one["id"], one["memory"], set(one)) for one in found["results"]] == [
        (id, "I play the violin", {"id", "memory", "score"})
    ]
    await call("update", id, text="I play the cello", metadata={"b": 1})
    assert (await call("get", id))["memory"] == "I play the cello"
    await call("update", id, expiration_date=None)
    assert (await call("get", id))["expiration_date"] is None
    await call("delete", id)
    with pytest.raises(MemoryNotFoundError):
        await call("get", id)
    history = await call("history", id)
    assert [entry["event"] for entry in history] == ["ADD", "UPDATE", "UPDATE", "DELETE"]
    assert [history[0]["old_memory"], history[-1]["new_memory"]] == [None, None]


async def test_filters_are_exact_and_nest(call: Call) -> None:
    for text, mood in (("one", "good"), ("two", "bad"), ("three", 3)):
        await add(call, text, metadata={"mood": mood})
    await add(call, "another's", "alice-2", metadata={"mood": "good"})
    for wanted, texts in (
        ({"metadata": {"mood": "good"}}, {"one"}),
        ({"NOT": [{"metadata": {"mood": {"in": ["good", "bad"]}}}]}, {"three"}),
        ({"OR": [{"metadata": {"mood": {"gt": 2}}}, {"keywords": {"icontains": "TW"}}]}, {"three", "two"}),
        ({"created_at": {"gte": "2001-01-01"}, "run_id": "*"}, set()),
    ):
        filters = {"AND": [{"user_id": "alice"}, wanted]}
        listed = await call("get_all", filters=filters)
        found = await call("search", "number", filters=filters, threshold=0.0)
        assert {one["memory"] for one in listed["results"]} == texts
        assert {one["memory"] for one in found["results"]} == texts
    with pytest.raises(ValidationError, match=r"user_id\.>="):
        await call("get_all", filters={"user_id": {">=": "a"}})
    with pytest.raises(ValidationError, match="filters"):
        await call("search", "number")


async def test_lists_come_in_pages(call: Call) -> None:
    for number in range(3):
        await add(call, f"number {number}", timestamp=number)
    page = await call("get_all", filters={"user_id": "alice"}, page=2, page_size=2)
    assert (page["count"], [one["memory"] for one in page["results"]], page["next"]) == (3, ["number 0"], None)
    assert len((await call("get_all", filters={"user_id": "alice"}, page_size=2))["results"]) == 2
    listed = await call("get_all", filters={"user_id": "alice"}, start_date="1970-01-01", end_date="1970-01-01")
    assert listed["count"] == 3


async def test_batches_change_and_delete(call: Call) -> None:
    ids = [await add(call, "one"), await add(call, "two")]
    await call("batch_update", [{"memory_id": id, "text": f"new {id}", "metadata": {"k": 1}} for id in ids])
    memory = await call("get", ids[1])
    assert (memory["memory"], memory["metadata"]) == (f"new {ids[1]}", {"k": 1})
    await call("batch_delete", [{"memory_id": id} for id in ids])
    with pytest.raises(MemoryNotFoundError):
        await call("get", ids[0])
    with pytest.raises(MemoryNotFoundError):
        await call("batch_delete", [{"memory_id": str(uuid4())}])


async def test_users_are_listed_and_deleted(call: Call) -> None:
    for user in ("alice", "team/a b", "alice-2"):
        await add(call, user, user, agent_id="helper")
    assert {(one["type"], one["name"]) for one in (await call("users"))["results"]} == {
        ("agent", "helper"),
        ("user", "alice"),
        ("user", "team/a b"),
        ("user", "alice-2"),
    }
    await call("delete_users", user_id="team/a b")
    await call("delete_all", user_id="alice")
    left = await call("get_all", filters={"user_id": "*"})
    assert [one["memory"] for one in left["results"]] == ["alice-2"]
    with pytest.raises(ValidationError):
        await call("delete_all")
    with pytest.raises(ValidationError):
        await call("delete_all", filters={"user_id": {"ne": "alice"}})
    await call("delete_all", filters={"user_id": "alice-2"})
    assert (await call("users"))["results"] == []
    await add(call, "one", agent_id="helper")
    await call("reset")
    assert (await call("users"))["count"] == 0


async def test_the_project_keeps_its_settings(call: Call) -> None:
    assert (await call("project.get"))["custom_instructions"] is None
    await call("project.update", custom_instructions="be brief", custom_categories=[{"sport": "moving"}])
    await call("project.update", multilingual=True)
    project = await call("project.get", fields=["custom_instructions", "custom_categories"])
    assert project == {"custom_instructions": "be brief", "custom_categories": [{"sport": "moving"}]}


async def test_what_is_not_supported_says_so(call: Call) -> None:
    id = await add(call, "one")
    assert (await call("feedback", id, "POSITIVE", "good"))["feedback"] == "POSITIVE"
    for name, arguments, options, words in (
        ("add", ["x"], {"user_id": "a", "custom_instructions": "be brief"}, "custom_instructions"),
        ("search", ["x"], {"filters": {"user_id": "a"}, "rerank": True}, "rerank"),
        ("delete", [id], {"delete_linked": True}, "delete_linked"),
        ("project.update", [], {"decay": True}, "decay"),
        ("create_memory_export", ["{}"], {"user_id": "a"}, "language model"),
        ("get_profile", ["a"], {}, "language model"),
        ("project.get_members", [], {}, "members"),
        ("update", [id], {"timestamp": 5}, "text"),
        ("get", ["7"], {}, "UUID"),
    ):
        with pytest.raises(ValidationError, match=words):
            await call(name, *arguments, **options)


async def test_a_wrong_key_and_a_foreign_memory_are_told_so(world: World, call: Call) -> None:
    id = await add(call, "one")
    host = str(world.client.make_url("/"))
    http = httpx.Client()
    foreign = await asyncio.to_thread(MemoryClient, api_key=world.foreign_token, host=host, client=http)
    with pytest.raises(MemoryNotFoundError):
        await asyncio.to_thread(foreign.get, id)
    assert (await asyncio.to_thread(foreign.get_all, filters={"user_id": "alice"}))["count"] == 0
    with pytest.raises(ValueError, match="not valid"):
        await asyncio.to_thread(MemoryClient, api_key="am_wrong", host=host, client=http)
    with pytest.raises(AuthenticationError):
        await asyncio.to_thread(foreign.get, id)
    await asyncio.to_thread(http.close)
