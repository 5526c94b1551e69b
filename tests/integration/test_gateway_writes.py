"""Changing and deleting through the gateway, on real stores."""

from __future__ import annotations

import gc
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from yarl import URL

from gateway.http.problems import ApiError
from tests.integration.gateway_world import IMPATIENT, World, eventually


async def one(world: World, text: str = "I like tea", user: str = "alice", **more: Any) -> str:
    answer = await world.add(text, user, **more)
    id: str = answer["results"][0]["id"]
    return id


async def listed(world: World, **filters: Any) -> list[str]:
    answer = await world.call("POST", "/v3/memories/", {"filters": filters})
    return sorted(memory["memory"] for memory in answer["results"])


async def test_an_update_is_seen_at_once_everywhere(world: World) -> None:
    id = await one(world, metadata={"a": 1}, expiration_date="2031-01-31")
    path = f"/v1/memories/{id}/"
    answer = await world.call("PUT", path, {"text": "I like coffee", "metadata": {"b": [True]}, "timestamp": 5})
    assert (answer["status"], answer["text"], answer["version"]) == ("SUCCEEDED", "I like coffee", 2)
    memory = await world.call("GET", path)
    assert (memory["memory"], memory["metadata"], memory["user_id"]) == ("I like coffee", {"b": [True]}, "alice")
    assert (memory["updated_at"], memory["expiration_date"][:10]) == ("1970-01-01T00:00:05.000000Z", "2031-01-31")
    assert await listed(world, user_id="alice") == ["I like coffee"]
    assert [hit["memory"] for hit in await world.search("coffee")] == ["I like coffee"]
    assert (await world.call("PUT", path, {"expiration_date": None}))["expiration_date"] is None
    history = await world.call("GET", path + "history/")
    assert [(h["event"], h["old_memory"], h["new_memory"]) for h in history][:2] == [
        ("ADD", None, "I like tea"),
        ("UPDATE", "I like tea", "I like coffee"),
    ]


async def test_a_delete_is_seen_at_once_everywhere(world: World) -> None:
    id = await one(world)
    path = f"/v1/memories/{id}/"
    assert (await world.call("DELETE", path + "?delete_linked=false"))["status"] == "SUCCEEDED"
    for method, body in (("GET", None), ("DELETE", None), ("PUT", {"text": "again"})):
        assert (await world.answer(method, path, body))[0] == 404
    assert await listed(world, user_id="alice") == []
    assert await world.search("tea", threshold=0) == []
    history = await world.call("GET", path + "history")
    assert [h["event"] for h in history] == ["ADD", "DELETE"]


async def test_a_conditional_write_overwrites_nothing(world: World) -> None:
    id = await one(world)
    path = f"/v1/memories/{id}/"
    headers = {"Authorization": f"Token {world.token}"}
    async with world.client.get(path, headers=headers) as response:
        etag = response.headers["ETag"]
    async with world.client.put(path, json={"text": "two"}, headers=headers | {"If-Match": etag}) as response:
        assert response.status == 200
        second = response.headers["ETag"]
    status, problem = await world.answer("PUT", path, {"text": "three"}, If_Match=etag)
    assert (status, problem["code"]) == (412, "version_conflict")
    assert (await world.answer("DELETE", path, If_Match=etag))[0] == 412
    assert (await world.call("GET", path))["memory"] == "two"
    assert (await world.answer("PUT", path, {"text": "x"}, If_Match="3"))[0] == 400
    assert (await world.answer("PUT", path, {"text": "three"}, If_Match="*"))[0] == 200
    assert (await world.answer("DELETE", path, If_Match=second))[0] == 412
    assert (await world.answer("DELETE", path, If_Match='"3"'))[0] == 200


async def test_a_refused_write_is_freed_at_once(world: World) -> None:
    """An error that holds a frame which holds it would keep the body, until a full garbage collection."""
    path = f"/v1/memories/{await one(world)}/"
    gc.collect()
    gc.disable()
    try:
        assert (await world.answer("PUT", path, {"text": "two"}, If_Match='"7"'))[0] == 412
        assert not any(isinstance(kept, ApiError) for kept in gc.get_objects())
    finally:
        gc.enable()


async def test_a_repeated_write_is_one_write(world: World) -> None:
    id = await one(world)
    path = f"/v1/memories/{id}/"
    first = await world.call("PUT", path, {"text": "two"}, Idempotency_Key="k")
    again = await world.call("PUT", path, {"text": "two"}, Idempotency_Key="k")
    assert again == first
    status, problem = await world.answer("PUT", path, {"text": "three"}, Idempotency_Key="k")
    assert (status, problem["code"]) == (422, "idempotency_key_reused")
    gone = await world.call("DELETE", path, Idempotency_Key="k")
    assert await world.call("DELETE", path[:-1], Idempotency_Key="k") == gone
    assert (await world.answer("DELETE", path, Idempotency_Key="other"))[0] == 404
    assert len(await world.call("GET", path + "history/")) == 3
    await one(world)
    wiped = await world.call("DELETE", "/v1/memories/?user_id=alice", Idempotency_Key="k")
    id = await one(world)
    assert await world.call("DELETE", "/v1/memories/?user_id=alice", Idempotency_Key="k") == wiped
    assert (await world.answer("GET", f"/v1/memories/{id}/"))[0] == 200


async def test_writes_by_id_are_answered_by_name(world: World) -> None:
    id = await one(world)
    for method, path, body, wanted, field in (
        ("PUT", "/v1/memories/7/", {"text": "x"}, 400, "memory_id"),
        ("DELETE", "/v1/memories/7/", None, 400, "memory_id"),
        ("PUT", f"/v1/memories/{id}/", {}, 400, "text"),
        ("PUT", f"/v1/memories/{id}/", {"timestamp": 5}, 400, "text"),
        ("PUT", f"/v1/memories/{id}/", {"text": ""}, 400, "text"),
        ("PUT", f"/v1/memories/{id}/", {"text": "x", "expiration_date": "soon"}, 400, "expiration_date"),
        ("DELETE", f"/v1/memories/{id}/?delete_linked=true", None, 400, "delete_linked"),
    ):
        status, problem = await world.answer(method, path, body)
        assert (status, problem["field"]) == (wanted, field), problem
    for token in (world.token, world.foreign_token):
        unknown = f"/v1/memories/{uuid4() if token == world.token else id}/"
        assert (await world.answer("PUT", unknown, {"text": "x"}, token))[0] == 404
        assert (await world.answer("DELETE", unknown, None, token))[0] == 404
    assert (await world.call("GET", f"/v1/memories/{id}/"))["version"] == 1


async def test_a_delete_by_scope_takes_that_scope_only(world: World) -> None:
    for user in ("alice", "alice-2", "ALICE", "bob alice"):
        await one(world, f"I am {user}", user)
    await one(world, "alice in a run", run_id="r")
    await world.call("DELETE", "/v1/memories/?user_id=alice&run_id=r")
    assert await listed(world, user_id="alice") == ["I am alice"]
    answer = await world.call("DELETE", "/v1/memories/?user_id=alice")
    assert answer["status"] == "SUCCEEDED"
    assert await listed(world, user_id="*") == ["I am ALICE", "I am alice-2", "I am bob alice"]
    assert await world.search("who?", threshold=0) == []


async def test_a_delete_by_scope_reads_filters_and_wildcards(world: World) -> None:
    async def fill() -> None:
        for user, more in (("alice", {}), ("bob", {"run_id": "r"}), ("carol", {"agent_id": "a"})):
            await one(world, user, user, **more)
        await world.call("POST", "/v3/memories/add/", {"messages": "bot", "agent_id": "a", "infer": False})

    everyone = {"OR": [{"user_id": "*"}, {"agent_id": "*"}]}
    for query, left in (
        ("filters={'user_id': 'bob'}", ["alice", "bot", "carol"]),
        ('filters={"AND": [{"agentId": "a"}]}', ["alice", "bob"]),
        ("user_id=*", ["bot"]),
        ("user_id=*&agent_id=a", ["alice", "bob", "bot"]),
        ("run_id=*", ["alice", "bot", "carol"]),
        ("user_id=*&agent_id=*&app_id=*&run_id=*", []),
    ):
        await world.call("DELETE", "/v1/memories/?user_id=*&agent_id=*&app_id=*&run_id=*")
        await fill()
        await world.call("DELETE", f"/v1/memories/?{query}")
        assert await listed(world, **everyone) == left, query
    await fill()
    for query, field in (
        ("", "filters"),
        ("org_id=o&project_id=p", "filters"),
        ("filters=[object Object]", "filters"),
        ("filters={'user_id': {'ne': 'alice'}}", "filters.user_id"),
        ("filters={'OR': [{'user_id': 'alice'}]}", "filters.OR"),
        ("filters={'metadata': {'a': 1}}", "filters.metadata"),
        ("filters=__import__('os')", "filters"),
        ("filters={'user_id': '\\ud800'}", "filters"),
        ("filters={'user_id': {'a'}}", "filters"),
        ("user_id=%00", "user_id"),
        ("user_id=", "user_id"),
        ("user_id=alice&filters={'user_id': 'bob'}", "filters.user_id"),
    ):
        status, problem = await world.answer("DELETE", f"/v1/memories/?{query}")
        assert (status, problem.get("field")) == (400, field), (query, problem)
    assert len(await listed(world, **everyone)) == 4


async def test_a_reset_is_for_administrators_who_mean_it(world: World) -> None:
    await one(world)
    for path in ("/v1/memories/reset?", "/v1/memories/reset?confirm=theirs", "/reset?confirm=yes"):
        method = "POST" if path.startswith("/reset") else "DELETE"
        status, problem = await world.answer(method, path)
        assert (status, problem["field"]) == (400, "confirm")
    assert len(await listed(world, user_id="alice")) == 1
    await world.call("DELETE", "/v1/memories/reset?confirm=ours")
    assert await listed(world, user_id="*") == []


@pytest.mark.parametrize("gateway_settings", [IMPATIENT])
async def test_a_write_that_takes_too_long_is_pending_and_then_done(world: World) -> None:
    async def event_of(answer: Any) -> Any:
        path = f"/v1/event/{answer['event_id']}/"

        async def done() -> bool:
            return bool((await world.call("GET", path))["status"] == "SUCCEEDED")

        await eventually(done)
        return await world.call("GET", path)

    id = (await event_of(await world.add("I like tea")))["results"][0]["id"]
    world.worker.running.clear()
    answer = await world.call("PUT", f"/v1/memories/{id}/", {"text": "two"})
    assert (answer["status"], answer["id"]) == ("PENDING", id)
    assert (await world.call("GET", f"/v1/event/{answer['event_id']}/"))["status"] == "PENDING"
    assert (await world.call("GET", f"/v1/memories/{id}/"))["memory"] == "I like tea"
    world.worker.running.set()
    event = await event_of(answer)
    assert (event["status"], event["results"][0]["event"]) == ("SUCCEEDED", "UPDATE")


async def test_every_write_of_many_is_done_once(world: World) -> None:
    """Batches, a user's end and a reset, each sent twice with its key while something new came between."""
    first, second = await one(world, "one", timestamp=1), await one(world, "two", timestamp=2)
    changes = {"memories": [{"memory_id": first, "text": "changed"}]}
    ends = {"memories": [{"memory_id": second}]}
    for method, body, count in (("PUT", changes, 2), ("DELETE", ends, 1)):
        answer = await world.call(method, "/v1/batch/", body, Idempotency_Key="k")
        assert answer["success_count"] == 1
        assert await world.call(method, "/v1/batch/", body, Idempotency_Key="k") == answer
        assert len(await listed(world, user_id="alice")) == count
    assert (await world.call("GET", f"/v1/memories/{first}/"))["version"] == 2
    for method, path in (
        ("DELETE", "/v2/entities/user/alice/"),
        ("DELETE", "/v1/memories/reset?confirm=ours"),
        ("POST", "/reset?confirm=ours"),
    ):
        wiped = await world.call(method, path, Idempotency_Key="k")
        assert await listed(world, user_id="alice") == []
        await one(world, "new")
        assert await world.call(method, path, Idempotency_Key="k") == wiped
        assert await listed(world, user_id="alice") == ["new"]


@pytest.mark.timeout(240)
async def test_a_batch_takes_a_thousand(world: World) -> None:
    items: list[Any] = [{"content": f"n{number}", "user_id": "alice"} for number in range(1000)]
    items[500] = {"content": "nobody's"}
    answer = await world.call("POST", "/v1/memories/batch", {"memories": items})
    assert (answer["success_count"], answer["fail_count"]) == (999, 1)
    assert [error["index"] for error in answer["errors"]] == [500]
    assert len(set(answer["ids"])) == 999

    async def all_there() -> bool:
        page = {"filters": {"user_id": "alice"}, "page_size": 1}
        count: int = (await world.call("POST", "/v3/memories/", page))["count"]
        return count == 999

    await eventually(all_there, 180)


async def test_batches_report_item_by_item(world: World) -> None:
    count = 3
    items: list[Any] = [{"content": f"number {n}", "user_id": "alice", "metadata": {"n": n}} for n in range(count)]
    items.insert(1, {"content": "nobody's"})
    items.insert(2, {"content": "", "user_id": "alice"})
    answer = await world.call("POST", "/v1/memories/batch", {"memories": items}, Idempotency_Key="k")
    assert (answer["success_count"], answer["fail_count"]) == (count, 2)
    assert [(e["index"], e["field"]) for e in answer["errors"]] == [(1, "filters"), (2, "content")]
    assert await world.call("POST", "/v1/memories/batch", {"memories": items}, Idempotency_Key="k") == answer
    texts = [(await world.call("GET", f"/v1/memories/{id}/"))["memory"] for id in answer["ids"]]
    assert texts == [f"number {n}" for n in range(count)]

    changes = [{"memory_id": id, "text": f"new {n}"} for n, id in enumerate(answer["ids"])]
    assert (await world.call("PUT", "/v1/batch/", {"memories": changes}))["success_count"] == count
    assert await listed(world, user_id="alice") == [f"new {n}" for n in range(count)]
    unknown = str(uuid4())
    status, problem = await world.answer(
        "PUT", "/v1/batch/", {"memories": [*changes, {"memory_id": unknown, "text": "x"}]}
    )
    assert (status, problem["memory_ids"]) == (404, [unknown])
    named = [{"memory_id": id} for id in answer["ids"]]
    status, problem = await world.answer("PUT", "/v1/batch/", {"memories": named})
    assert status == 400
    assert (await world.call("DELETE", "/v1/batch/", {"memories": named[:1]}))["success_count"] == 1
    again = await world.call("DELETE", "/v1/batch/", {"memories": named})
    assert (again["success_count"], again["fail_count"]) == (count - 1, 1)
    assert (again["errors"][0]["memory_id"], again["errors"][0]["code"]) == (answer["ids"][0], "not_found")
    for path, method in (("/v1/memories/batch", "POST"), ("/v1/batch/", "PUT"), ("/v1/batch/", "DELETE")):
        several: list[Any] = [[], [{}] * 1001, "x", [1]]
        for bad in several:
            assert (await world.answer(method, path, {"memories": bad}))[0] == 400


async def test_entities_are_listed_and_deleted(world: World) -> None:
    for n, (user, more) in enumerate((("alice", {}), ("team/a b", {"run_id": "r"}))):
        await one(world, user, user, timestamp=n, **more)
    answer = await world.call("GET", "/v1/entities/")
    assert [(e["type"], e["name"], e["total_memories"]) for e in answer["results"]] == [
        ("run", "r", 1),
        ("user", "team/a b", 1),
        ("user", "alice", 1),
    ]
    page = await world.call("GET", "/v1/entities/?page=2&page_size=2")
    assert (page["count"], [e["name"] for e in page["results"]], page["next"]) == (3, ["alice"], None)
    url = str(world.client.make_url("")).rstrip("/") + "/v2/entities/user/team%2Fa%20b/"
    headers = {"Authorization": f"Token {world.token}"}
    async with world.client.session.delete(URL(url, encoded=True), headers=headers) as response:
        assert response.status == 200
    assert [e["name"] for e in (await world.call("GET", "/v1/entities/"))["results"]] == ["alice"]
    assert (await world.answer("DELETE", "/v2/entities/team/x/"))[0] == 400
    assert (await world.call("GET", "/v1/entities/", token=world.foreign_token))["count"] == 0


async def test_the_past_can_be_looked_at(world: World) -> None:
    before = datetime.now(UTC).isoformat()
    id = await one(world, "one")
    then = datetime.now(UTC).isoformat()
    await world.call("PUT", f"/v1/memories/{id}/", {"text": "two"})
    later = datetime.now(UTC).isoformat()
    await world.call("DELETE", f"/v1/memories/{id}/")
    headers = {"filters": {"user_id": "alice"}}
    for moment, text in ((before, None), (then, "one"), (later, "two"), (datetime.now(UTC).isoformat(), None)):
        status, memory = await world.answer("GET", f"/v1/memories/{id}/?as_of={moment.replace('+', '%2B')}")
        assert (status, memory.get("memory")) == ((200, text) if text else (404, None))
        answer = await world.call("POST", "/v3/memories/", headers | {"as_of": moment})
        assert [m["memory"] for m in answer["results"]] == ([text] if text else [])
        exact = {"filters": {"user_id": "alice", "text": "one"}, "as_of": moment}
        assert (await world.call("POST", "/v3/memories/", exact))["count"] == (text == "one")
    assert (await world.answer("GET", f"/v1/memories/{id}/?as_of=then"))[0] == 400


async def test_events_are_listed(world: World) -> None:
    id = await one(world)
    await world.call("DELETE", f"/v1/memories/{id}/")
    answer = await world.call("GET", "/v1/events/?page_size=1")
    assert answer["count"] == 2
    [latest] = answer["results"]
    assert (latest["event_type"], latest["status"]) == ("DELETE", "SUCCEEDED")
    assert [r["id"] for r in latest["results"]] == [id]
    assert (await world.call("GET", "/v1/events/", token=world.foreign_token))["results"] == []
