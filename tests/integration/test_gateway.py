"""The gateway on real stores and a real model."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from uuid import uuid4

import pytest

from gateway.writes.adding import parse_add
from gateway.writes.idempotency import keyed_id
from schemas.events import outcome_event
from schemas.history import RequestOutcome, RequestStatus
from schemas.problems import DeadLetterReason
from streams.producer import Producer
from streams.settings import KafkaSettings
from tests.integration.gateway_world import IMPATIENT, World, announce, eventually


async def test_what_is_added_is_found_listed_read_and_traced(world: World) -> None:
    messages = [
        {"role": "user", "content": "I play the violin in an orchestra", "name": "Ann"},
        {"role": "assistant", "content": "The train to Basel leaves at nine"},
    ]
    answer = await world.add(messages, metadata={"k": [1, {"x": None}]}, run_id="r1", timestamp=1_700_000_000)
    assert answer["status"] == "SUCCEEDED"
    assert [r["data"]["memory"] for r in answer["results"]] == [m["content"] for m in messages]
    assert [r["event"] for r in answer["results"]] == ["ADD", "ADD"]
    ids = [r["id"] for r in answer["results"]]

    results = await world.search("Which instrument does she play?")
    assert results[0]["id"] == ids[0]
    assert results[0]["score"] >= 0.1
    assert results[0]["session_id"] == results[0]["run_id"] == "r1"
    assert (results[0]["role"], results[0]["name"]) == ("user", "Ann")
    assert {r["id"] for r in await world.search("anything", threshold=0)} == set(ids)
    assert await world.search("Which instrument does she play?", threshold=0.999) == []
    assert len(await world.search("anything", threshold=0, top_k=1)) == 1

    memory = await world.call("GET", f"/v1//memories/{ids[0]}")
    assert memory["metadata"] == {"k": [1, {"x": None}]}
    assert memory["created_at"] == "2023-11-14T22:13:20.000000Z"
    history = await world.call("GET", f"/v1/memories/{ids[0]}/history/")
    assert [(h["event"], h["old_memory"], h["new_memory"]) for h in history] == [
        ("ADD", None, "I play the violin in an orchestra")
    ]
    event = await world.call("GET", f"/v1/event/{answer['event_id']}/")
    assert (event["status"], [r["id"] for r in event["results"]]) == ("SUCCEEDED", ids)


async def test_a_callers_trace_goes_on_to_kafka(world: World) -> None:
    trace = f"00-{'a' * 32}-{'b' * 16}-01"
    body = {"messages": "likes tea", "user_id": "alice", "infer": False}
    await world.call("POST", "/v3/memories/add/", body, traceparent=trace)
    await world.call("POST", "/v3/memories/add/", body)
    await world.call("POST", "/v3/memories/add/", body, traceparent="nonsense")
    assert world.worker.traces == [trace.encode(), None, None]


async def test_scopes_are_exact(world: World) -> None:
    for user in ("alice", "alice-2", "ALICE", "bob alice", " alice"):
        await world.add(f"I am {user}", user)
    assert [r["memory"] for r in await world.search("who?", threshold=0)] == ["I am alice"]
    for user in ("alice-2", " alice"):
        listed = await world.call("POST", "/v3/memories/", {"filters": {"AND": [{"user_id": user}]}})
        assert [m["memory"] for m in listed["results"]] == [f"I am {user}"]
    both = {"user_id": "alice", "agent_id": "nobody"}
    assert (await world.call("POST", "/v3/memories/", {"filters": both}))["count"] == 0


async def test_lists_come_in_pages(world: World) -> None:
    messages = [{"role": "user", "content": f"number {n}", "timestamp": n} for n in range(5)]
    await world.add(messages)
    body = {"filters": {"user_id": "alice"}}
    first = await world.call("POST", "/v3/memories/?page_size=2", body)
    assert (first["count"], first["previous"]) == (5, None)
    assert [m["memory"] for m in first["results"]] == ["number 4", "number 3"]
    last = await world.call("POST", "/v3/memories/?page=3&page_size=2", body)
    assert ([m["memory"] for m in last["results"]], last["next"]) == (["number 0"], None)
    path = first["next"].removeprefix(str(world.client.make_url("")))
    assert (await world.call("POST", path, body))["results"][0]["memory"] == "number 2"


async def test_what_is_gone_from_postgres_is_not_served_and_leaves_room(world: World) -> None:
    expired = [{"role": "user", "content": f"the sky is blue {n}"} for n in range(30)]
    await world.add(expired, expiration_date="2020-01-01")
    live = await world.add("bread is baked in an oven")
    results = await world.search("the sky is blue", threshold=0, top_k=3)
    assert [r["id"] for r in results] == [live["results"][0]["id"]]
    assert len(await world.search("the sky is blue", threshold=0, top_k=30, show_expired=True)) == 30


async def test_a_project_is_a_wall(world: World) -> None:
    answer = await world.add("a secret of ours")
    id = answer["results"][0]["id"]
    for path in (f"/v1/memories/{id}/", f"/v1/memories/{id}/history/", f"/v1/event/{answer['event_id']}/"):
        unknown = path.replace(id, str(uuid4())).replace(answer["event_id"], "unknown")
        foreign_status, foreign = await world.answer("GET", path, token=world.foreign_token)
        unknown_status, missing = await world.answer("GET", unknown, token=world.foreign_token)
        assert foreign_status == unknown_status == 404
        assert foreign | {"request_id": ""} == missing | {"request_id": ""}
    body = {"query": "secret", "filters": {"user_id": "alice"}, "threshold": 0}
    for path in ("/v3/memories/search/", "/v3/memories/"):
        assert (await world.call("POST", path, body, world.foreign_token))["results"] == []


async def test_without_a_key_there_is_nothing(world: World) -> None:
    for path in ("/v1/ping/", "/v1/events/stream", f"/v1/memories/{uuid4()}/", "/nowhere"):
        async with world.client.get(path, headers={"Authorization": "Token am_wrong"}) as response:
            assert response.status == 401
            assert (await response.json(content_type=None))["detail"]
    ping = await world.call("GET", "/v1/ping//", x_mem0_client="any")
    assert (ping["status"], ping["project_id"]) == ("ok", "ours")
    async with world.client.get("/v1/ping", headers={"X-API-Key": world.token}) as response:
        assert response.status == 200


async def test_an_add_that_is_not_waited_for_has_a_true_status_all_along(world: World) -> None:
    world.worker.running.clear()
    body = {"messages": "I like tea", "user_id": "alice"}
    answer = await world.call("POST", "/v3/memories/add", body)
    assert answer["status"] == "PENDING"
    path = f"/v1/event/{answer['event_id']}/"
    assert (await world.call("GET", path))["status"] == "PENDING"
    world.worker.running.set()

    async def done() -> bool:
        return bool((await world.call("GET", path))["status"] == "SUCCEEDED")

    await eventually(done)
    assert (await world.call("GET", path))["results"][0]["data"] == {"memory": "I like tea"}


@pytest.mark.parametrize("gateway_settings", [IMPATIENT])
async def test_a_wait_that_takes_too_long_is_pending(world: World) -> None:
    world.worker.running.clear()
    answer = await world.add("I like tea")
    assert answer["status"] == "PENDING"
    assert "results" not in answer


async def test_a_request_that_fails_is_no_success(world: World, kafka_settings: KafkaSettings) -> None:
    world.worker.running.clear()
    body = {"messages": "I like tea", "user_id": "alice", "infer": False}
    request = parse_add("ours", body, keyed_id("ours", "POST", "/v3/memories/add/", "k1"))
    answer = asyncio.create_task(world.answer("POST", "/v3/memories/add/", body, Idempotency_Key="k1"))

    async def accepted() -> bool:
        status, _ = await world.answer("GET", f"/v1/event/{request.request_id}/")
        return status == 200

    await eventually(accepted)
    outcome = RequestOutcome(
        request.request_id,
        request.scope,
        "add",
        request.content_hash(),
        RequestStatus.FAILED,
        datetime.now(UTC),
        reason=DeadLetterReason.REJECTED_BY_STORE,
        detail="it is too strange",
    )
    async with Producer(kafka_settings) as producer:
        await announce(producer, kafka_settings, outcome_event(outcome))
    status, problem = await answer
    assert (status, problem["code"], problem["detail"]) == (422, "rejected_by_store", "it is too strange")
    assert problem["event_id"] == request.request_id


async def test_the_same_idempotency_key_adds_once(world: World) -> None:
    body = {"messages": "I like tea", "user_id": "alice", "infer": False}
    first = await world.call("POST", "/v3/memories/add/", body, Idempotency_Key="k1")
    again = await world.call("POST", "/v3/memories/add/", body, Idempotency_Key="k1")
    assert again == first
    assert (await world.call("POST", "/v3/memories/", {"user_id": "alice"}))["count"] == 1
    other = {**body, "messages": "I like coffee"}
    status, problem = await world.answer("POST", "/v3/memories/add/", other, Idempotency_Key="k1")
    assert (status, problem["code"]) == (422, "idempotency_key_reused")


async def test_bad_calls_are_answered_by_name(world: World) -> None:
    headers = {"Authorization": f"Token {world.token}"}
    async with world.client.post("/v3/memories/", data=b"{", headers=headers) as response:
        assert response.status == 400
        assert "JSON" in (await response.json(content_type=None))["detail"]
    for path, body, field in (
        ("/v3/memories/add/", {"messages": "x"}, "filters"),
        ("/v3/memories/add/", {"messages": [{"content": 1}], "user_id": "a"}, "messages.0.content"),
        ("/v3/memories/search/", {"query": "x"}, "filters"),
        ("/v3/memories/search/", {"query": "x", "filters": {"OR": []}}, "filters.OR"),
        ("/v3/memories/", {"filters": {"user_id": {">=": "a"}}}, "filters.user_id.>="),
        ("/v3/memories/", {"filters": {"user_id": "a"}, "start_date": "soon"}, "start_date.gte"),
    ):
        status, problem = await world.answer("POST", path, body)
        assert (status, problem["field"]) == (400, field)
    assert (await world.answer("GET", "/v1/memories/7/"))[0] == 400


async def test_a_general_question_finds_what_is_known(world: World) -> None:
    await world.add(["I love hiking in the Alps", "The train to Basel leaves at nine", "def f(x): return x"])
    assert len(await world.search("What do you know about me?")) == 3


async def test_health_names_each_component(world: World) -> None:
    async with world.client.get("/health") as response:
        document = await response.json()
    assert document["status"] == "ok"
    assert set(document["components"]) == {"postgres", "weaviate", "kafka"}
    for component in document["components"].values():
        assert component["status"] == "up"
        assert component["latency_ms"] >= 0
    async with world.client.get("/health/live/") as response:
        assert response.status == 200
    async with world.client.get("/metrics") as response:
        assert 'agentmem_gateway_component_up{component="kafka"} 1.0' in await response.text()
