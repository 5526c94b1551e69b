"""Hostile calls: whatever is sent, the answer is a documented one with a request id, and never a fault of ours."""

from __future__ import annotations

import gzip
import string
import zlib
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.integration.gateway_world import World
from tests.integration.hostile import call, check, check_problem, say
from tests.integration.hostile_values import BODIES, HEADERS, UNKNOWN

#: One world serves all examples of a test. How long one takes depends on what else the machine does.
HOSTILE = settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
#: Each operation with a body that can be called again and again.
WITH_BODY = [
    ("POST", "/v3/memories/add/"),
    ("POST", "/v3/memories/"),
    ("POST", "/v3/memories/search/"),
    ("POST", "/v2/memories/"),
    ("POST", "/v1/memories/batch/"),
    ("PUT", "/v1/batch/"),
    ("DELETE", "/v1/batch/"),
    ("PUT", "/v1/memories/{memory_id}/"),
    ("POST", "/v1/feedback/"),
    ("POST", "/v1/keys/"),
    ("POST", "/api/v1/webhooks/projects/{project_id}/"),
    ("PATCH", "/api/v1/orgs/organizations/{organisation}/projects/{project}/"),
]


def filled(path: str) -> str:
    """A path with ids; of the caller's own project where that is named."""
    names = {"memory_id": UNKNOWN, "project_id": "ours", "project": "ours", "organisation": "agentmem"}
    return path.format(**names)


@HOSTILE
@given(operation=st.sampled_from(WITH_BODY), body=BODIES)
async def test_bodies(world: World, operation: tuple[str, str], body: bytes) -> None:
    method, path = operation
    credential = [("Authorization", f"Token {world.token}".encode()), ("Content-Type", b"application/json")]
    check(await say(world.client, call(method, filled(path), credential, body)), method, path)


@HOSTILE
@given(data=st.data(), names=st.lists(st.sampled_from(sorted(HEADERS)), min_size=1, max_size=3))
async def test_headers(world: World, data: st.DataObject, names: list[str]) -> None:
    method, path, body = data.draw(
        st.sampled_from(
            [
                ("GET", "/v1/memories/{memory_id}/", None),
                ("PUT", "/v1/memories/{memory_id}/", b'{"text":"x"}'),
                ("POST", "/v3/memories/search/", b'{"query":"x","user_id":"alice"}'),
                ("GET", "/health", None),
            ]
        )
    )
    headers = [(name, data.draw(HEADERS[name])) for name in names]
    if not {"Authorization", "X-API-Key"} & set(names):
        headers.append(("Authorization", f"Token {world.token}".encode()))
    answer = await say(world.client, call(method, filled(path), headers, body))
    if "Mem0-User-ID" in names:
        answer.headers["content-type"] = answer.headers["content-type"].replace(
            "application/json", "application/problem+json"
        )
    check(answer, method, path)


_BODY = b'{"query":"x","user_id":"alice"}'
FRAMES: dict[str, Any] = {
    "two lengths": (b"Content-Length: 31\r\nContent-Length: 30\r\n\r\n" + _BODY),
    "length and chunks": b"Content-Length: 31\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "negative length": b"Content-Length: -1\r\n\r\n" + _BODY,
    "length with a sign": b"Content-Length: +31\r\n\r\n" + _BODY,
    "no number": b"Content-Length: x\r\n\r\n" + _BODY,
    "huge length": b"Content-Length: 99999999999999999999999\r\n\r\n" + _BODY,
    "unknown coding": b"Transfer-Encoding: gzip\r\n\r\n" + _BODY,
    "chunked twice": b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "no chunk": b"Transfer-Encoding: chunked\r\n\r\nzz\r\n" + _BODY,
    "negative chunk": b"Transfer-Encoding: chunked\r\n\r\n-1\r\n\r\n",
    "header without a colon": b"nonsense\r\n\r\n",
    "space before the colon": b"Content-Length : 31\r\n\r\n" + _BODY,
    "zero byte in a header": b"X-A: a\x00b\r\n\r\n",
    "line feed in a header": b"X-A: a\nb\r\n\r\n",
    "long header": b"X-A: " + b"a" * 10_000 + b"\r\n\r\n",
    "many headers": b"X-A: a\r\n" * 1_000 + b"\r\n",
    "folded header": b"X-A: a\r\n b\r\n\r\n",
}


async def test_frames(world: World) -> None:
    start = b"POST /v3/memories/search/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
    for name, frame in FRAMES.items():
        answer = await say(world.client, start + frame)
        assert 400 <= answer.status < 500, (name, answer)
        check_problem(answer)
    await world.call("GET", "/v1/ping/")


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
async def test_a_small_body_that_is_large_unpacked(world: World, coding: str) -> None:
    large = b'{"query":"%s"}' % (b" " * 50_000_000)
    body = gzip.compress(large) if coding == "gzip" else zlib.compress(large)
    headers = [
        ("Authorization", f"Token {world.token}".encode()),
        ("Content-Type", b"application/json"),
        ("Content-Encoding", coding.encode()),
    ]
    answer = await say(world.client, call("POST", "/v3/memories/search/", headers, body))
    assert (answer.status, check_problem(answer)["code"]) == (413, "too_large")


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b'{"user_id":"a","messages":[%s],"metadata":{"a":"%s"}}', 413, "too_large"),
        (b'{"user_id":"a","messages":"x","metadata":{"a":[%s],"b":"%s"}}', 400, "invalid_json"),
    ],
    ids=["multiplied", "many values"],
)
async def test_a_body_that_would_take_many_times_its_bytes(
    world: World, body: bytes, status: int, code: str
) -> None:
    filled_body = body % (b",".join([b'"x"'] * (1_000 if status == 413 else 60_000)), b"y" * 60_000)
    headers = [("Authorization", f"Token {world.token}".encode()), ("Content-Type", b"application/json")]
    for path in ("/v1/memories/", "/v3/memories/add/"):
        answer = await say(world.client, call("POST", path, headers, filled_body))
        assert (answer.status, check_problem(answer)["code"]) == (status, code)


LINES = [
    b"GET / HTTP/9.9",
    b"GET  / HTTP/1.1",
    b"G\x00T / HTTP/1.1",
    b"GET /\xff HTTP/1.1",
    b"GET /%00 HTTP/1.1",
    b"GET /%ff%fe HTTP/1.1",
    b"GET /v1/event/%00/ HTTP/1.1",
    b"GET /v1/event/%ed%a0%80/ HTTP/1.1",
    b"GET /v2/entities HTTP/1.1",
    b"GET " + b"/a" * 6_000 + b" HTTP/1.1",
    b"GET http://[::1 HTTP/1.1",
    b"GET http://other.example/v1/ping/ HTTP/1.1",
    b"CONNECT other.example:443 HTTP/1.1",
    b"OPTIONS * HTTP/1.1",
    b"TRACE /v1/ping/ HTTP/1.1",
    b"\x16\x03\x01\x02\x00\x01\x00",
    b"PRI * HTTP/2.0",
    b"nonsense",
]


async def test_request_lines(world: World) -> None:
    rest = f"\r\nHost: a\r\nAuthorization: Token {world.token}\r\nConnection: close\r\n\r\n".encode()
    for line in LINES:
        answer = await say(world.client, line + rest)
        if answer.status != 200:
            assert 400 <= answer.status < 500, (line[:50], answer)
            check_problem(answer)
    await world.call("GET", "/v1/ping/")


async def cursor_of(world: World, token: str) -> str:
    """A cursor that this credential was given."""
    url = world.client.make_url("/v1/events/stream?from=now")
    async with world.client.session.get(url, headers={"Authorization": f"Token {token}"}) as response:
        line = await response.content.readuntil(b"\n")
        return line.decode().removeprefix("id: ").strip()


@HOSTILE
@given(data=st.data())
async def test_cursors(world: World, data: st.DataObject) -> None:
    good, foreign = [await cursor_of(world, token) for token in (world.token, world.foreign_token)]
    at = data.draw(st.integers(0, len(good) - 1))
    bad = data.draw(
        st.sampled_from([good[:at], good[at + 1 :], good + "A", good + "=", good * 500, foreign, good.swapcase()])
        | st.sampled_from(string.ascii_letters + "-_").map(lambda letter: good[:at] + letter + good[at + 1 :])
        | st.text(string.printable.strip().replace("&", ""), min_size=1, max_size=100)
    )
    if bad in (good, "now", "beginning", ""):
        return
    path = "/v1/events/stream"
    async with world.client.session.get(
        world.client.make_url(path).with_query({"from": bad}), headers={"Authorization": f"Token {world.token}"}
    ) as response:
        assert response.status in (400, 431), bad
        problem = await response.json(content_type="application/problem+json")
    assert response.status == 431 or (problem["code"], problem["field"]) == ("invalid_request", "from")
