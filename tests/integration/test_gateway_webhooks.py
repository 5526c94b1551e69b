"""The calls about webhooks."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import pytest

from infra.onnx import Embedder
from infra.postgres import PostgresSettings
from infra.postgres.webhook_queue import Queued
from tests.integration.doors import Door, doors

OURS = "/api/v1/webhooks/projects/ours/"
NEW = {"name": "w", "url": "https://example.com/hook", "event_types": ["memory_add", "memory_delete"]}


@pytest.fixture
async def door(postgres_settings: PostgresSettings, embedder: Embedder) -> AsyncIterator[Door]:
    async with doors(postgres_settings, embedder) as [door]:
        yield door


@pytest.fixture
def token(door: Door) -> str:
    return door.database.create_api_key("ours", "test")


async def test_a_webhooks_life(door: Door, token: str) -> None:
    async def call(method: str, path: str, body: Any = None) -> Any:
        status, document = await door.answer(method, path, token, body)
        assert status == 200, document
        return document

    assert await call("GET", OURS) == []
    made = await call("POST", OURS, NEW | {"user_id": "alice", "unknown": 1})
    assert made.pop("secret").startswith("whsec_")
    assert made["is_active"] is True
    assert made["project"] == "ours"
    assert made["user_id"] == "alice"
    assert made.items() >= NEW.items()
    path = f"/api/v1/webhooks/{made['webhook_id']}/"
    assert await call("GET", OURS) == [made]
    assert await call("GET", path) == made

    changes = {"name": "v", "event_types": ["added"], "user_id": None, "is_active": False}
    changed = await call("PUT", path, changes)
    assert "successfully" in changed.pop("message")
    assert changed.items() >= changes.items()
    assert (changed["url"], await call("GET", OURS)) == (NEW["url"], [changed])

    door.database.webhook_queue.put([Queued(*_ids(made), "e1", "agentmem.memory.added", "k", "{}")])
    log = await call("GET", f"{path}deliveries/")
    assert log["count"] == 1
    assert log["results"][0].items() >= {"event_id": "e1", "status": "pending", "attempts": 0}.items()

    assert "successfully" in (await call("DELETE", path))["message"]
    assert await call("GET", OURS) == []
    assert (await door.answer("DELETE", path, token))[0] == 404


def _ids(made: dict[str, Any]) -> tuple[UUID, str]:
    return UUID(made["webhook_id"]), made["project"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "name"),
        ({"name": "w"}, "url"),
        (NEW | {"url": "http://example.com"}, "url"),
        (NEW | {"url": "https://127.0.0.1/x"}, "url"),
        (NEW | {"url": "https://[::1]/x"}, "url"),
        (NEW | {"event_types": []}, "event_types"),
        (NEW | {"event_types": ["memory_made"]}, "event_types"),
        (NEW | {"event_types": ["memory_categorize"]}, "event_types"),
        (NEW | {"user_id": ""}, "user_id"),
        (NEW | {"is_active": "yes"}, "is_active"),
    ],
)
async def test_what_is_wrong_is_named(door: Door, token: str, body: Any, field: str) -> None:
    status, problem = await door.answer("POST", OURS, token, body)
    assert (status, problem["field"]) == (400, field)


async def test_another_projects_webhook_is_like_none(door: Door, token: str) -> None:
    foreign = door.database.create_api_key("theirs", "test")
    _, made = await door.answer("POST", OURS, token, NEW)
    for method, path, body in (
        ("GET", "/api/v1/webhooks/{}/", None),
        ("PUT", "/api/v1/webhooks/{}/", {"name": "x"}),
        ("DELETE", "/api/v1/webhooks/{}/", None),
        ("GET", "/api/v1/webhooks/{}/deliveries/", None),
        ("POST", "/api/v1/webhooks/{}/secret/rotate/", {}),
        ("POST", "/api/v1/webhooks/{}/deliveries/1/redeliver/", None),
    ):
        answers = [
            await door.answer(method, path.format(id), foreign, body)
            for id in (made["webhook_id"], str(uuid4()), "no-id")
        ]
        assert {status for status, _ in answers} == {404}
        assert len({str(problem | {"request_id": ""}) for _, problem in answers}) == 1
    for method in ("GET", "POST"):
        answers = [
            await door.answer(method, f"/api/v1/webhooks/projects/{project}/", foreign, NEW)
            for project in ("ours", "unknown")
        ]
        assert {status for status, _ in answers} == {404}
    assert (await door.answer("GET", OURS, token))[1][0]["name"] == "w"


async def test_who_may_not_read_gets_nothing_by_a_webhook(door: Door, token: str) -> None:
    _, made = await door.answer("POST", OURS, token, NEW)
    path = f"/api/v1/webhooks/{made['webhook_id']}/"
    door.database.webhook_queue.put([Queued(*_ids(made), "e1", "agentmem.memory.added", "k", "{}")])
    [delivery] = (await door.answer("GET", f"{path}deliveries/", token))[1]["results"]
    writer = door.database.create_api_key("ours", "writer", ("write",))
    for method, where, body in (
        ("POST", OURS, NEW),
        ("PUT", path, {"url": "https://elsewhere.example/"}),
        ("POST", f"{path}secret/rotate/", {}),
        ("POST", f"{path}deliveries/{delivery['id']}/redeliver/", None),
    ):
        status, problem = await door.answer(method, where, writer, body)
        assert (status, problem["code"]) == (403, "forbidden"), where
    del made["secret"]
    assert (await door.answer("GET", OURS, token))[1] == [made]


async def test_a_call_that_is_repeated_makes_no_second_webhook(door: Door, token: str) -> None:
    status, made = await door.answer("POST", OURS, token, NEW, Idempotency_Key="once")
    assert status == 200
    status, problem = await door.answer("POST", OURS, token, NEW, Idempotency_Key="once")
    assert (status, problem["code"], problem["id"]) == (409, "already_made", made["webhook_id"])
    assert len((await door.answer("GET", OURS, token))[1]) == 1


async def test_a_secret_is_rotated(door: Door, token: str) -> None:
    _, made = await door.answer("POST", OURS, token, NEW)
    path = f"/api/v1/webhooks/{made['webhook_id']}/"
    secrets = {made["secret"]}
    assert made["previous_secret_until"] is None
    for body in (None, {"grace_s": 60}, {"grace_s": 0}):
        status, rotated = await door.answer("POST", f"{path}secret/rotate/", token, body)
        assert status == 200
        assert (rotated["previous_secret_until"] is None) == (body == {"grace_s": 0})
        secrets.add(rotated["secret"])
        shown = (await door.answer("GET", path, token))[1]
        assert shown == {name: value for name, value in rotated.items() if name != "secret"}
    assert len(secrets) == 4
    # What was promised to an earlier secret is kept.
    for _ in range(4):
        assert (await door.answer("POST", f"{path}secret/rotate/", token, {"grace_s": 60}))[0] == 200
    promised = door.database.webhooks.find("ours", UUID(made["webhook_id"]))
    status, problem = await door.answer("POST", f"{path}secret/rotate/", token, {"grace_s": 60})
    assert (status, problem["code"]) == (409, "too_many_secrets")
    assert door.database.webhooks.find("ours", UUID(made["webhook_id"])) == promised
    assert (await door.answer("POST", f"{path}secret/rotate/", token, {"grace_s": 0}))[0] == 200
    for grace_s in (-1, 10_000_000, "long"):
        status, problem = await door.answer("POST", f"{path}secret/rotate/", token, {"grace_s": grace_s})
        assert (status, problem["field"]) == (400, "grace_s")


async def test_what_cannot_be_delivered_again_says_why(door: Door, token: str) -> None:
    _, made = await door.answer("POST", OURS, token, NEW)
    path = f"/api/v1/webhooks/{made['webhook_id']}/"
    queue, ids = door.database.webhook_queue, _ids(made)
    queue.put(
        [Queued(*ids, f"e{number}", "agentmem.memory.added", "k", "{}", "gone", number) for number in (0, 1)]
    )
    log = (await door.answer("GET", f"{path}deliveries/", token))[1]["results"]
    again = f"{path}deliveries/{log[0]['id']}/redeliver/"
    # Of a request that nobody knows, or of an event that it did not have.
    status, problem = await door.answer("POST", again, token)
    assert (status, problem["code"]) == (409, "not_redeliverable")
    await door.answer("PUT", path, token, {"is_active": False})
    status, problem = await door.answer("POST", again, token)
    assert (status, problem["code"]) == (409, "webhook_inactive")
    _, other = await door.answer("POST", OURS, token, NEW)
    for number in (log[0]["id"], 0, 10**18, 10**30, "x", "-1"):
        where = f"/api/v1/webhooks/{other['webhook_id']}/deliveries/{number}/redeliver/"
        assert (await door.answer("POST", where, token))[0] == 404


async def test_a_project_has_only_so_many(door: Door, token: str) -> None:
    answers = await asyncio.gather(*(door.answer("POST", OURS, token, NEW) for _ in range(40)))
    assert Counter(status for status, _ in answers) == {200: 20, 409: 20}
    assert len((await door.answer("GET", OURS, token))[1]) == 20
