"""Hostile calls: whatever is sent, the answer is a documented one with a request id, and never a fault of ours."""

from __future__ import annotations

import gzip
import json
import string
import zlib
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.integration.gateway_world import World
from tests.integration.hostile import DOCUMENT, call, check, check_problem, say

#: One world serves all examples of a test. How long one takes depends on what else the machine does.
HOSTILE = settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
UNKNOWN = "b6a3b7a2-3b1e-4f0c-9b52-2f6f9a6a3b0e"
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
FIELDS = sorted(
    {name for schema in DOCUMENT["components"]["schemas"].values() for name in schema.get("properties", ())}
)
SCALARS = [
    *(
        "null",
        "true",
        "NaN",
        "-Infinity",
        "-0",
        "1e999",
        "1" * 400,
        "1.7976931348623157e308",
        "18446744073709551616",
    ),
    *(
        '""',
        '"*"',
        '"\\ud800"',
        '"\\udc00\\ud800"',
        '"\\u0000"',
        '"2030-02-31"',
        f'"{UNKNOWN}"',
        '"' + "x" * 300 + '"',
    ),
    *("[" * 40 + "]" * 40, '{"a":' * 40 + "1" + "}" * 40, "[" * 100_000, "1e", "'x'", "\x00", "\ufeff{}"),
]
_scalars = st.sampled_from(SCALARS) | st.text(max_size=20).map(json.dumps) | st.integers().map(str)
_keys = st.sampled_from(FIELDS).map(json.dumps) | st.sampled_from(['"\\u0000"', '"\\ud800"', '""', "1"])


def _object(pairs: list[tuple[str, str]]) -> str:
    return "{" + ",".join(f"{key}:{value}" for key, value in pairs) + "}"  # a key may come twice


_values = st.recursive(
    _scalars,
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda parts: f"[{','.join(parts)}]")
        | st.lists(st.tuples(_keys, inner), max_size=4).map(_object)
    ),
    max_leaves=8,
)
#: Bodies that come close: the ids and texts are right, and something else is not.
_GOOD = {"user_id": '"alice"', "messages": '"x"', "query": '"x"', "text": '"x"', "infer": "false", "name": '"x"'}
_near = st.tuples(
    st.lists(st.sampled_from(sorted(_GOOD)), unique=True), st.lists(st.tuples(_keys, _values), max_size=3)
).map(lambda drawn: _object([*((f'"{name}"', _GOOD[name]) for name in drawn[0]), *drawn[1]]))
BODIES = _near.map(lambda text: text.encode("utf-8", "surrogatepass")) | st.binary(max_size=50)

_printable = st.text(string.printable.strip(), max_size=60).map(str.encode)
_octets = st.binary(max_size=60).filter(lambda value: not {0, 10, 13} & set(value))
_VALUES = (
    _printable | _octets | st.sampled_from([b"", b" ", b'"1"', b"*", b'W/"1"', b'"0"', b"a" * 300, b"\xff\xfe"])
)
HEADERS = {
    "If-Match": _VALUES | st.sampled_from([b'"1","2"', b'"99999999999999999999"', b'"1" ']),
    "Idempotency-Key": _VALUES | st.sampled_from([b"a" * 255, b"a" * 256, b"\x80", b"a\tb"]),
    "Authorization": _VALUES
    | st.sampled_from([b"Token", b"Token a b", b"Bearer a.b.c", b"Bearer e30.e30.e30", b"Basic eA=="]),
    "X-API-Key": _VALUES,
    "Content-Type": _VALUES
    | st.sampled_from([b"text/plain", b"multipart/form-data; boundary=x", b"application/json; charset=x"]),
    "Content-Encoding": st.sampled_from([b"gzip", b"deflate", b"br", b"zstd", b"gzip, gzip", b"x"]),
    "traceparent": _VALUES
    | st.sampled_from([b"00-" + b"0" * 32 + b"-" + b"0" * 16 + b"-01", b"00-" + b"a" * 500]),
    "X-Request-ID": _VALUES,
    "Mem0-User-ID": _VALUES,
    "Accept": _VALUES,
    "Range": st.sampled_from([b"bytes=0-0", b"bytes=-1", b"lines=1"]),
    "If-None-Match": _VALUES,
    "Cookie": _VALUES,
    "Origin": _VALUES,
    "Host": _VALUES,
    "X-Forwarded-For": _VALUES,
    "X-HTTP-Method-Override": _VALUES,
    "Expect": st.sampled_from([b"100-continue", b"x"]),
    "Upgrade": st.sampled_from([b"websocket", b"h2c"]),
}


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


@pytest.mark.parametrize("frame", FRAMES)
async def test_frames(world: World, frame: str) -> None:
    start = b"POST /v3/memories/search/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
    answer = await say(world.client, start + FRAMES[frame])
    assert 400 <= answer.status < 500, answer
    check_problem(answer)
    # What stands behind it is not taken for a call of its own, and the gateway serves on.
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


@pytest.mark.parametrize("line", LINES, ids=lambda line: repr(line[:30]))
async def test_request_lines(world: World, line: bytes) -> None:
    credential = f"\r\nHost: a\r\nAuthorization: Token {world.token}\r\nConnection: close\r\n\r\n".encode()
    answer = await say(world.client, line + credential)
    if answer.status != 200:
        assert 400 <= answer.status < 500, answer
        check_problem(answer)


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
