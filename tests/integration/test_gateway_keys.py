"""API keys: made, shown once, rotated, revoked, and refused on every gateway soon after."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from sqlalchemy import text

from infra.onnx import Embedder
from infra.postgres import PostgresSettings
from tests.integration.doors import Door, doors, forgotten
from tests.integration.gateway_world import eventually


@pytest.fixture
async def two(postgres_settings: PostgresSettings, embedder: Embedder) -> AsyncIterator[list[Door]]:
    async with doors(postgres_settings, embedder, 2) as opened:
        yield opened


def admin(door: Door, project: str = "ours") -> str:
    return door.database.create_api_key(project, "admin", ("read", "write", "admin"))


async def test_a_key_is_shown_once_and_works_at_once_everywhere(two: list[Door]) -> None:
    one, other = two
    boss = admin(one)
    status, made = await one.answer("POST", "/v1/keys/", boss, {"name": "ci", "scopes": ["read"]})
    assert status == 201
    assert made["key"].startswith(made["prefix"])
    assert (made["name"], made["scopes"], made["status"]) == ("ci", ["read"], "active")
    assert [await door.ping(made["key"]) for door in two] == [200, 200]
    _, listed = await other.answer("GET", "/v1/keys/", boss)
    assert [key["name"] for key in listed] == ["admin", "ci"]
    with one.database._connection() as connection:
        stored = str(connection.execute(text("SELECT * FROM api_keys")).all())
    for token in (boss, made["key"]):
        assert token not in str(listed) + stored


async def test_a_revoked_key_is_refused_by_every_gateway_soon(two: list[Door]) -> None:
    boss = admin(two[0])
    _, made = await two[0].answer("POST", "/v1/keys/", boss, {"name": "ci"})
    assert [await door.ping(made["key"]) for door in two] == [200, 200]
    assert await two[0].answer("DELETE", f"/v1/keys/{made['id']}/", boss) == (
        200,
        {"id": made["id"], "status": "revoked"},
    )
    assert (await two[1].answer("DELETE", f"/v1/keys/{made['id']}/", boss))[0] == 200
    await forgotten()
    assert [await door.ping(made["key"]) for door in two] == [401, 401]


async def test_a_call_that_is_repeated_makes_no_second_key(two: list[Door]) -> None:
    one, other = two
    boss = admin(one)
    key = {"Idempotency_Key": "once"}
    status, made = await one.answer("POST", "/v1/keys/", boss, {"name": "ci"}, **key)
    assert status == 201
    rotate = f"/v1/keys/{made['id']}/rotate/"
    status, rotated = await one.answer("POST", rotate, boss, None, **key)
    assert status == 201
    for path, first in (("/v1/keys/", made), (rotate, rotated)):
        status, problem = await other.answer("POST", path, boss, {"name": "ci"}, **key)
        assert (status, problem["code"], problem["id"]) == (409, "already_made", first["id"])
    _, keys = await one.answer("GET", "/v1/keys/", boss)
    assert len(keys) == 3
    # The old key ended at once.
    again = f"/v1/keys/{rotated['id']}/rotate/"
    status, last = await one.answer("POST", again, boss, {"grace_s": 0}, Idempotency_Key="now")
    assert status == 201
    status, problem = await other.answer("POST", again, boss, {"grace_s": 0}, Idempotency_Key="now")
    assert (status, problem["code"], problem["id"]) == (409, "already_made", last["id"])
    assert (await one.answer("POST", "/v1/keys/", boss, {"name": "ci"}, Idempotency_Key="twice"))[0] == 201


async def test_a_rotated_key_works_for_its_grace_time(two: list[Door]) -> None:
    door = two[0]
    boss = admin(door)
    _, old = await door.answer("POST", "/v1/keys/", boss, {"name": "ci", "scopes": ["read"]})
    status, new = await door.answer("POST", f"/v1/keys/{old['id']}/rotate/", boss, {"grace_s": 5})
    assert status == 201
    assert (new["name"], new["scopes"]) == ("ci", ["read"])
    assert new["key"] != old["key"]
    assert [await door.ping(key["key"]) for key in (old, new)] == [200, 200]

    async def over() -> bool:
        return await door.ping(old["key"]) == 401

    await eventually(over)
    assert await door.ping(new["key"]) == 200
    assert (await door.answer("POST", f"/v1/keys/{old['id']}/rotate/", boss))[0] == 404
    _, listed = await door.answer("GET", "/v1/keys/", boss)
    assert [key["status"] for key in listed] == ["active", "expired", "active"]


async def test_a_rotated_key_keeps_its_expiry(two: list[Door]) -> None:
    door = two[0]
    boss = admin(door)
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    _, old = await door.answer("POST", "/v1/keys/", boss, {"name": "ci", "expires_at": tomorrow})
    _, new = await door.answer("POST", f"/v1/keys/{old['id']}/rotate/", boss)
    assert new["expires_at"] == old["expires_at"] is not None


async def test_only_administrators_see_and_change_keys(two: list[Door]) -> None:
    door = two[0]
    plain = door.database.create_api_key("ours", "plain")
    for method, path in (
        ("GET", "/v1/keys/"),
        ("POST", "/v1/keys/"),
        ("POST", f"/v1/keys/{uuid4()}/rotate/"),
        ("DELETE", f"/v1/keys/{uuid4()}/"),
    ):
        status, problem = await door.answer(method, path, plain, {"name": "x"} if method == "POST" else None)
        assert (status, problem["code"]) == (403, "forbidden")


async def test_another_projects_administrator_finds_nothing(two: list[Door]) -> None:
    door = two[0]
    ours, theirs = admin(door), admin(door, "theirs")
    _, [mine] = await door.answer("GET", "/v1/keys/", ours)
    for method, path in (("POST", "/v1/keys/{}/rotate/"), ("DELETE", "/v1/keys/{}/")):
        foreign = await door.answer(method, path.format(mine["id"]), theirs, X_Request_ID="same")
        unknown = await door.answer(method, path.format(uuid4()), theirs, X_Request_ID="same")
        assert foreign == unknown
        assert foreign[0] == 404
    assert await door.ping(ours) == 200


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "name"),
        ({"name": ""}, "name"),
        ({"name": "x", "scopes": []}, "scopes"),
        ({"name": "x", "scopes": ["root"]}, "scopes.0"),
        ({"name": "x", "expires_at": "2020-01-01"}, "expires_at"),
        ({"name": "x", "expires_at": "soon"}, "expires_at"),
    ],
)
async def test_a_key_that_makes_no_sense_is_refused(
    postgres_settings: PostgresSettings, embedder: Embedder, body: dict[str, object], field: str
) -> None:
    async with doors(postgres_settings, embedder) as [door]:
        status, problem = await door.answer("POST", "/v1/keys/", admin(door), body)
        assert (status, problem["field"]) == (400, field)


async def test_an_expired_key_is_refused(two: list[Door]) -> None:
    token = two[0].database.credentials.issue_key("p", "x", expires_at=datetime.now(UTC)).token
    assert await two[0].ping(token) == 401
