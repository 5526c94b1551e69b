"""The wall between tenants: one tries every route with every id and name of another, and gets nothing.

What is foreign and what does not exist must be answered alike, or the answers would tell what exists.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from uuid import UUID, uuid4

import orjson
import pytest
from yarl import URL

from gateway import routes
from gateway.http.routing import Route
from gateway.routes import project
from gateway.routes.health import ORGANISATION
from gateway.services import SERVICES
from infra.postgres.webhook_queue import Queued
from tests.integration.gateway_world import World

_PARAMETER = re.compile(r"{(\w+)}")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z")
_ENDLESS = ("/v1/events/stream", "/v1/events/ws")
_NAMES = {
    *("memory_id", "event_id", "job_id", "key_id", "webhook_id", "delivery_id", "export_id"),
    *("name", "kind", "organisation", "project", "project_id", "asset"),
}
SECRET = "the vault opens at midnight"
USER = "alice-of-ours"


async def belongings(world: World) -> dict[str, list[str]]:
    """What we have, by the name of the path parameter that could ask for it."""
    added = await world.add([SECRET, f"{SECRET} again", f"{SECRET} no more"], USER)
    live, changed, deleted = (result["id"] for result in added["results"])
    await world.call("PUT", f"/v1/memories/{changed}/", {"text": f"{SECRET}, changed"})
    await world.call("DELETE", f"/v1/memories/{deleted}/")
    webhook = {"name": "ours", "url": "https://example.com/vault"}
    made = await world.call("POST", "/api/v1/webhooks/projects/ours/", webhook)
    database = world.client.app[SERVICES].database
    webhook_id = UUID(made["webhook_id"])
    told = Queued(webhook_id, "ours", "e", "agentmem.memory.added", "k", SECRET, added["event_id"], 0)
    world.worker.database.webhook_queue.put([told])
    _, deliveries = database.webhook_log.deliveries("ours", webhook_id, 10, 0)
    return {
        "memory_id": [live, changed, deleted],
        "event_id": [added["event_id"]],
        "job_id": [added["event_id"]],
        "key_id": [str(key.id) for key in database.credentials.keys("ours")],
        "name": [USER],
        "kind": ["user"],
        "organisation": [ORGANISATION],
        "project": ["ours"],
        "project_id": ["ours"],
        "webhook_id": [made["webhook_id"]],
        "delivery_id": [str(delivery.id) for delivery in deliveries],
        "asset": ["none"],
        "export_id": [str(uuid4())],
    }


def strangers_view(values: Mapping[str, str]) -> dict[str, str]:
    """The same parameters with values that nobody has."""
    fixed = {"kind", "organisation"}
    fresh = {"name": f"nobody-{uuid4().hex[:4]}", "project": "none", "project_id": "none", "delivery_id": "9"}
    return {name: value if name in fixed else fresh.get(name, str(uuid4())) for name, value in values.items()}


def choices(owned: Mapping[str, list[str]]) -> list[dict[str, str]]:
    """Every value that we have, each at least once."""
    count = max(len(values) for values in owned.values())
    return [{name: values[n % len(values)] for name, values in owned.items()} for n in range(count)]


async def attempt(
    world: World, route: Route, values: Mapping[str, str], token: str | None = None, text: str | None = "stolen"
) -> tuple[int, str]:
    """The route called by the stranger, or with this token, naming these values wherever one can.

    Returns what it said, made comparable.
    """
    path = _PARAMETER.sub(lambda found: values[found[1]], route.path)
    entity = {"user_id": values["name"]}
    change = {"memory_id": values["memory_id"], "text": text, "metadata": {"seen": True}}
    body = {
        **entity,
        **change,
        "query": "vault",
        "filters": {"AND": [entity, {"memory_ids": [values["memory_id"]]}]} if route.scope == "read" else entity,
        "threshold": 0,
        "messages": "mine",
        "infer": False,
        "memories": [{**change, "content": "mine", **entity}],
        "event_id": values["event_id"],
        "memory_export_id": values["event_id"],
        "confirm": True,
        "multilingual": True,
    }
    query = dict(entity) if route.method in ("GET", "DELETE") and "{" not in route.path else {}
    headers = {"Authorization": f"Token {token or world.foreign_token}", "X-Request-ID": "same"}
    url = URL(path).with_query(query)
    async with world.client.request(
        route.method, str(url), json=body if route.method != "GET" else None, headers=headers
    ) as response:
        answer = await response.text()
    assert "vault" not in answer, (route.method, route.path)
    for name, value in values.items():
        if name == "delivery_id":
            continue  # a small number, which stands in many other places too
        answer = answer.replace(value, f"<{name}>")
    return response.status, _TIME.sub("<time>", _UUID.sub("<uuid>", answer))


async def everything(world: World) -> Any:
    """All that we can see of our own."""
    listed = await world.call("POST", "/v3/memories/", {"filters": {"user_id": USER}})
    histories = [await world.call("GET", f"/v1/memories/{memory['id']}/history/") for memory in listed["results"]]
    keys = await world.call("GET", "/v1/keys/")
    webhooks = await world.call("GET", "/api/v1/webhooks/projects/ours/")
    deliveries = [
        await world.call("GET", f"/api/v1/webhooks/{webhook['webhook_id']}/deliveries/") for webhook in webhooks
    ]
    return listed, histories, keys, webhooks, deliveries, await world.call("GET", "/v1/entities/")


def test_every_parameter_of_every_route_is_tried() -> None:
    named = {name for route in routes.ALL for name in _PARAMETER.findall(route.path)}
    assert named <= _NAMES


async def test_a_stranger_gets_nothing_and_learns_nothing(world: World) -> None:
    owned = await belongings(world)
    before = await everything(world)
    order = {"read": 0, "any": 1, "read or write": 2, "write": 2, "admin": 3}
    tried = [route for route in routes.ALL if route.scope is not None and route.path not in _ENDLESS]
    for route in sorted(tried, key=lambda route: (order[str(route.scope)], route.method == "DELETE")):
        for values in choices(owned):
            foreign = await attempt(world, route, values)
            unknown = await attempt(world, route, strangers_view(values))
            assert foreign == unknown, (route.method, route.path)
            assert foreign[0] < 500 or foreign[0] == 501, (route.method, route.path, foreign)
            if _PARAMETER.search(route.path) and route.method == "GET":
                assert "stolen" not in foreign[1]
    assert orjson.dumps(await everything(world)) == orjson.dumps(before)


@pytest.mark.parametrize("credential", ["none", "wrong"])
async def test_without_a_credential_every_route_but_the_public_ones_is_closed(
    world: World, credential: str
) -> None:
    headers = {"Authorization": "Token am_wrong"} if credential == "wrong" else {}
    for route in routes.ALL:
        if route.scope is None:
            continue
        path = _PARAMETER.sub("x", route.path)
        async with world.client.request(route.method, path, headers=headers) as response:
            assert response.status == 401, route.path


async def test_what_a_key_may_not_do_it_cannot(world: World) -> None:
    database = world.client.app[SERVICES].database
    for held in ("read", "write"):
        token = database.create_api_key("ours", held, (held,))
        for route in routes.ALL:
            if not route.scopes or held in route.scopes:
                continue
            path = _PARAMETER.sub(str(uuid4()), route.path)
            status, problem = await world.answer(route.method, path, token=token)
            assert (status, problem["code"]) == (403, "forbidden"), route.path


async def test_a_key_that_may_only_write_is_shown_nothing(world: World) -> None:
    database = world.client.app[SERVICES].database
    writer = database.create_api_key("ours", "writer", ("write",))
    owned = await belongings(world)
    settings = f"/api/v1/orgs/organizations/{ORGANISATION}/projects/ours/"
    await world.call("PATCH", settings, {"custom_instructions": SECRET})
    carried_out = set()
    for route in sorted(routes.ALL, key=lambda route: route.method == "DELETE"):
        if "write" not in route.scopes:
            continue
        for values in choices(owned):
            # Without a text: who changes something else must not be told the text that stands there.
            status, _ = await attempt(world, route, values, writer, text=None)
            if status == 200:
                carried_out.add((route.method, route.path))
    changing = {("PUT", "/v1/memories/{memory_id}/"), ("PUT", "/v1/batch/"), ("PATCH", project.ROUTES[0].path)}
    assert changing <= carried_out


async def test_a_path_that_adds_or_lists_takes_the_scope_for_what_is_asked(world: World) -> None:
    await world.add([SECRET], USER)
    database = world.client.app[SERVICES].database
    reader, writer = (database.create_api_key("ours", scope, (scope,)) for scope in ("read", "write"))
    listing, adding = {"filters": {"user_id": USER}}, {"messages": "mine", "user_id": USER, "infer": False}
    listed = await world.call("POST", "/v2/memories/", listing, reader)
    assert [memory["memory"] for memory in listed["results"]] == [SECRET]
    await world.call("POST", "/v2/memories/", adding, writer)
    for body, token in ((listing, writer), (adding, reader)):
        status, problem = await world.answer("POST", "/v2/memories/", body, token)
        assert (status, problem["code"]) == (403, "forbidden")
        assert "results" not in problem


async def test_a_key_that_reads_or_writes_is_told_that_it_is_good(world: World) -> None:
    """mem0's clients ask before they do anything else."""
    database = world.client.app[SERVICES].database
    for scope in ("read", "write"):
        ping = await world.call("GET", "/v1/ping/", token=database.create_api_key("ours", scope, (scope,)))
        assert (ping["status"], ping["project_id"]) == ("ok", "ours")
