"""Paths, problems and keys as a client meets them, on a small application of the gateway's own parts."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from aiohttp import ClientPayloadError, web
from aiohttp.test_utils import TestClient, TestServer
from yarl import URL

from gateway.auth.middleware import token_of
from gateway.http.access import access_middleware
from gateway.http.jsonio import json_response
from gateway.http.problems import add_request_id, invalid, problems_middleware
from gateway.http.routing import Route, add_routes
from gateway.settings import GatewaySettings
from schemas.problems import MisconfiguredError, StoreUnavailableError

Client = TestClient[web.Request, web.Application]


async def _echo(request: web.Request) -> web.Response:
    return json_response({"id": request.match_info["id"], "body": len(await request.read())})


async def _fail(request: web.Request) -> web.Response:
    raise {
        "store": StoreUnavailableError("Weaviate", "http://secret:1 refused"),
        "setup": MisconfiguredError("password of the database"),
        "field": invalid("top_k", "must be positive"),
    }.get(request.match_info["how"], RuntimeError("secret"))


async def _fail_midway(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    await response.write(b"a part")
    await _fail(request)
    return response


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    problems = problems_middleware(GatewaySettings(retry_after_s=7))
    app = web.Application(middlewares=[access_middleware, problems], client_max_size=100)
    add_routes(
        app,
        [
            Route("GET", "/v1/things/{id}/", _echo, None),
            Route("POST", "/v1/things/{id}/", _echo, None),
            Route("GET", "/v1/things/{id}/parts", _echo, None),
            Route("GET", "/fail/{how}", _fail, None),
            Route("GET", "/midway/{how}", _fail_midway, None),
        ],
    )
    app.on_response_prepare.append(add_request_id)
    async with TestClient(TestServer(app)) as client:
        yield client


@pytest.mark.parametrize(
    ("path", "id"),
    [
        ("/v1/things/x", "x"),
        ("/v1/things/x/", "x"),
        ("//v1/things/x/", "x"),
        ("/v1//things///x//", "x"),
        ("/v1/things/x/parts/", "x"),
        ("/v1/things/team%2Fa%20b/", "team/a b"),
        ("/v1/things/a%252Fb/", "a%2Fb"),
        ("/v1/things/%C3%A9/", "é"),
        ("/v1/things/a+b/", "a+b"),
    ],
)
async def test_every_spelling_of_a_path_leads_there(client: Client, path: str, id: str) -> None:
    url = URL(str(client.make_url("/")).rstrip("/") + path, encoded=True)
    async with client.session.get(url) as response:
        assert response.status == 200
        assert (await response.json())["id"] == id


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nowhere", 404, "no_such_route"),
        ("GET", "/v1/things/a/b/", 404, "no_such_route"),
        ("DELETE", "/v1/things/x/", 405, "method_not_allowed"),
        ("GET", "/fail/field", 400, "invalid_request"),
        ("GET", "/fail/store", 503, "unavailable"),
        ("GET", "/fail/setup", 503, "misconfigured"),
        ("GET", "/fail/bug", 500, "internal_error"),
    ],
)
async def test_every_failure_is_a_problem(client: Client, method: str, path: str, status: int, code: str) -> None:
    response = await client.request(method, path)
    document = await response.json(content_type="application/problem+json")
    assert response.status == document["status"] == status
    assert document["code"] == code
    assert document["detail"] == document["error"]
    assert document["request_id"] == response.headers["X-Request-ID"]
    assert "secret" not in str(document)
    assert "password" not in str(document)
    if status == 503:
        assert response.headers["Retry-After"] == "7"
    if status == 405:
        assert response.headers["Allow"] == "GET, POST"


@pytest.mark.parametrize("how", ["setup", "bug"])
async def test_an_answer_that_fails_midway_is_cut_off(client: Client, how: str) -> None:
    async with client.get(f"/midway/{how}") as response:
        assert response.status == 200
        assert await response.content.readexactly(6) == b"a part"
        with pytest.raises(ClientPayloadError):
            await response.content.read()


async def test_a_body_that_is_too_large_is_refused(client: Client) -> None:
    response = await client.post("/v1/things/x/", data=b"x" * 101)
    assert response.status == 413
    assert (await response.json(content_type=None))["code"] == "too_large"


async def test_mem0s_clients_get_problems_they_can_read(client: Client) -> None:
    response = await client.get("/nowhere", headers={"Mem0-User-ID": ""})
    assert response.content_type == "application/json"
    assert "detail" in await response.json()


async def test_a_sound_request_id_is_kept(client: Client) -> None:
    for given, kept in (("abc-1", True), ("a b", False), ("x" * 129, False)):
        response = await client.get("/v1/things/x", headers={"X-Request-ID": given})
        assert (response.headers["X-Request-ID"] == given) is kept


@pytest.mark.parametrize(
    ("authorization", "api_key", "token"),
    [
        ("Token am_x", None, "am_x"),
        ("Bearer am_x", None, "am_x"),
        ("bearer   am_x ", None, "am_x"),
        (None, "am_x", "am_x"),
        ("Basic am_x", "am_x", None),
        ("Token", None, None),
        ("Token a b", None, None),
        ("Token \udcff", None, None),
        ("Token " + "x" * 4097, None, None),
        (None, None, None),
        (None, "", None),
    ],
)
def test_where_the_key_may_stand(authorization: str | None, api_key: str | None, token: str | None) -> None:
    assert token_of(authorization, api_key) == token
