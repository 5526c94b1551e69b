"""An operator sees and changes a running gateway's settings; nobody else does."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import select, text

from agentmem.live_settings import LiveSettings
from agentmem.settings import read_layers
from infra.onnx import Embedder
from infra.postgres import PostgresSettings
from infra.postgres.keys import SCOPES
from infra.postgres.tables import audit
from tests.integration.doors import Door, doors
from tests.integration.gateway_world import eventually

SECRET = "not-for-anybody"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "agentmem.toml"
    path.write_text(f'[gateway]\nrate_key = 100\n[weaviate]\napi_key = "{SECRET}"\n')
    return path


@pytest.fixture
async def door(file: Path, postgres_settings: PostgresSettings, embedder: Embedder) -> AsyncIterator[Door]:
    live = LiveSettings(partial(read_layers, file), file, ("gateway", "weaviate"), lambda _: None)
    async with doors(postgres_settings, embedder, live=live) as [opened]:
        yield opened


@pytest.fixture
def operator(door: Door) -> str:
    return door.database.create_api_key("default", "operator", SCOPES)


def replace(file: Path, old: str, new: str) -> None:
    written = file.with_suffix(".new")
    written.write_text(file.read_text().replace(old, new))
    written.replace(file)


async def quota(door: Door, token: str) -> str:
    async with door.session.get(f"{door.url}/v1/ping/", headers={"X-API-Key": token}) as response:
        assert response.status == 200
        return response.headers["RateLimit-Policy"]


async def test_an_operator_sees_each_setting_with_its_source(door: Door, operator: str, file: Path) -> None:
    status, document = await door.answer("GET", "/configure", operator)
    assert status == 200
    settings = document["settings"]
    assert settings["gateway.rate_key"] == {"value": 100, "source": str(file), "live": True}
    assert settings["gateway.rate_project"] == {"value": 10_000, "source": "default", "live": True}
    assert settings["gateway.port"]["live"] is False
    assert settings["weaviate.api_key"]["value"] == "***"
    assert SECRET not in str(document)
    assert not any(name.startswith("worker.") for name in settings)


async def test_a_change_counts_at_once_and_can_be_taken_back(door: Door, operator: str) -> None:
    tenant = door.database.create_api_key("theirs", "app")
    assert '"key";q=100;' in await quota(door, tenant)
    status, document = await door.answer(
        "POST", "/configure", operator, {"gateway.rate_key": 55, "gateway.cors_origins": "https://a.example"}
    )
    assert (status, document["changed"]["gateway.rate_key"]) == (200, {"old": 100, "new": 55})
    assert '"key";q=55;' in await quota(door, tenant)
    async with door.session.get(f"{door.url}/health/live", headers={"Origin": "https://a.example"}) as response:
        assert response.headers["Access-Control-Allow-Origin"] == "https://a.example"
    # As curl sends it, unless told otherwise.
    form = {"X-API-Key": operator, "Content-Type": "application/x-www-form-urlencoded"}
    async with door.session.post(
        f"{door.url}/configure", data=b'{"gateway.rate_key": 55}', headers=form
    ) as response:
        assert (response.status, (await response.json())["changed"]) == (200, {})
    shown = (await door.answer("GET", "/configure/", operator))[1]["settings"]["gateway.rate_key"]
    assert shown["value"] == 55
    assert "operator" in shown["source"]
    assert (await door.answer("POST", "/configure", operator, {"gateway.rate_key": None}))[0] == 200
    assert '"key";q=100;' in await quota(door, tenant)


def entries(door: Door) -> list[tuple[object, ...]]:
    columns = (audit.c.project, audit.c.action, audit.c.actor, audit.c.detail)
    with door.database._connection() as connection:
        return [tuple(row) for row in connection.execute(select(*columns).order_by(audit.c.id))]


async def test_the_audit_has_who_changed_what_with_secrets_masked(door: Door, operator: str) -> None:
    body = {"gateway.rate_key": 55, "gateway.cors_origins": f"https://ann:{SECRET}@a.example"}
    assert (await door.answer("POST", "/configure", operator, body))[0] == 200
    assert (await door.answer("POST", "/configure", operator, {"gateway.rate_key": 55}))[0] == 200
    [first, second] = entries(door)
    project, action, actor, detail = first
    assert (project, action) == ("default", "configure")
    assert str(actor).startswith("operator, key:")
    assert detail == {
        "asked": ["gateway.cors_origins", "gateway.rate_key"],
        "changed": {
            "gateway.rate_key": {"old": 100, "new": 55},
            "gateway.cors_origins": {"old": "", "new": "https://ann:***@a.example"},
        },
    }
    # It stands above the file from now on, though nothing has changed.
    assert second[3] == {"asked": ["gateway.rate_key"], "changed": {}}
    assert SECRET not in str(entries(door))
    assert operator not in str(entries(door))


async def test_without_an_entry_nothing_changes(
    door: Door, operator: str, postgres_settings: PostgresSettings
) -> None:
    with door.database._connection() as connection:
        connection.execute(text(f"REVOKE INSERT ON audit FROM {postgres_settings.gateway_role}"))
    status, problem = await door.answer("POST", "/configure", operator, {"gateway.rate_key": 55})
    assert (status, problem["code"]) == (503, "misconfigured")
    assert '"key";q=100;' in await quota(door, operator)


@pytest.mark.parametrize(
    ("body", "code", "named"),
    [
        ({"gateway.rate_key": 55, "gateway.rate_keys": 1}, "no_such_setting", "gateway.rate_keys"),
        ({"gateway.rate_key": 55, "gateway.port": 1}, "needs_restart", "gateway.port"),
        ({"gateway.rate_key": 55, "weaviate.api_key": "x"}, "needs_restart", "weaviate.api_key"),
        ({"gateway.rate_key": 55, "gateway.rate_project": "many"}, "invalid_setting", "gateway.rate_project"),
        ({"gateway.rate_key": 55, "llm": {"provider": "openai"}}, "no_such_setting", "llm"),
        ([], "invalid_json", "object"),
    ],
)
async def test_a_mistake_is_named_and_nothing_changes(
    door: Door, operator: str, body: object, code: str, named: str
) -> None:
    status, problem = await door.answer("POST", "/configure", operator, body)
    assert (status, problem["code"]) == (400, code)
    assert named in problem["detail"]
    assert '"key";q=100;' in await quota(door, operator)
    assert entries(door) == []


async def test_a_tenants_administrator_has_no_say(door: Door) -> None:
    admin = door.database.create_api_key("theirs", "admin", SCOPES)
    for method, body in (("GET", None), ("POST", {"gateway.rate_key": 1}), ("POST", {})):
        status, problem = await door.answer(method, "/configure", admin, body)
        assert (status, problem["code"]) == (403, "forbidden")
        assert "settings" not in problem
    mere = door.database.create_api_key("default", "app", ("read", "write"))
    assert (await door.answer("GET", "/configure", mere))[0] == 403
    assert '"key";q=100;' in await quota(door, admin)


async def test_without_an_operators_project_nobody_has(
    postgres_settings: PostgresSettings, embedder: Embedder
) -> None:
    read = partial(read_layers, None, {"gateway.operator_project": ""})
    live = LiveSettings(read, None, ("gateway",), lambda _: None)
    async with doors(postgres_settings, embedder, live=live) as [door]:
        admin = door.database.create_api_key("default", "admin", SCOPES)
        assert (await door.answer("GET", "/configure", admin))[0] == 403


async def test_a_gateway_follows_its_file(door: Door, operator: str, file: Path) -> None:
    replace(file, "100", "42")

    async def follows() -> bool:
        return '"key";q=42;' in await quota(door, operator)

    await eventually(follows)
