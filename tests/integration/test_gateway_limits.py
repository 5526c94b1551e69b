"""How much a caller may take: calls, bodies, connections and time; and what browsers are told."""

from __future__ import annotations

import asyncio
import json
import resource
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from random import Random
from typing import Any

import pytest
from aiohttp.test_utils import unused_port

from gateway.http import ratelimit
from gateway.settings import GatewaySettings
from infra.local.ports import accepts
from infra.onnx import Embedder
from infra.postgres import PostgresSettings
from infra.telemetry.metrics import RATE_LIMIT_LOCAL
from tests.integration.doors import Door, doors
from tests.integration.gateway_world import eventually

#: So long a window that hardly a test meets its end, at which calls are possible again.
DAY_S = 86_400


@asynccontextmanager
async def redis(port: int, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[asyncio.subprocess.Process]:
    """A Redis of the test's own, for gateways that give it time, and ask no more of it once it was away."""
    monkeypatch.setattr(ratelimit, "_REDIS_TIMEOUT_S", 60.0)
    monkeypatch.setattr(ratelimit, "_REDIS_PAUSE_S", 3_600.0)
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("there is no redis-server here (Debian: redis-server)")
    process = await asyncio.create_subprocess_exec(
        *(program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"),
        stdout=asyncio.subprocess.DEVNULL,
    )
    try:
        await eventually(lambda: accepts(port))
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def pinged(door: Door, token: str) -> tuple[int, dict[str, str]]:
    async with door.session.get(f"{door.url}/v1/ping/", headers={"X-API-Key": token}) as response:
        return response.status, dict(response.headers)


async def raw(door: Door, data: bytes, wait_s: float = 60) -> bytes:
    """What comes back on a connection of its own until it is closed."""
    reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
    try:
        writer.write(data)
        async with asyncio.timeout(wait_s):
            return await reader.read()
    finally:
        writer.close()


def problem(answer: bytes) -> tuple[int, Any]:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"application/problem+json" in head
    return int(head.split()[1]), json.loads(body)


async def test_calls_are_counted_by_key_and_by_project(
    postgres_settings: PostgresSettings, embedder: Embedder
) -> None:
    limits = {"rate_key": 3, "rate_project": 5, "rate_window_s": DAY_S}
    async with doors(postgres_settings, embedder, **limits) as [door]:
        one, two, other = (door.database.create_api_key(p, "x") for p in ("ours", "ours", "theirs"))
        status, headers = await pinged(door, one)
        assert status == 200
        assert headers["RateLimit-Policy"] == '"key";q=3;w=86400, "project";q=5;w=86400'
        assert headers["RateLimit"].startswith('"key";r=2;t=')
        assert '"project";r=4;t=' in headers["RateLimit"]
        assert [(await pinged(door, one))[0] for _ in range(4)] == [200, 200, 429, 429]
        status, headers = await pinged(door, one)
        assert '"key";r=0;t=' in headers["RateLimit"]
        assert 1 <= int(headers["Retry-After"]) <= DAY_S
        # Refused calls did not use up the project's share.
        assert [(await pinged(door, two))[0] for _ in range(3)] == [200, 200, 429]
        assert (await pinged(door, other))[0] == 200
        _, document = await door.answer("GET", "/v1/ping/", one)
        assert (document["code"], document["status"]) == ("rate_limited", 429)
        async with door.session.get(f"{door.url}/health") as response:
            assert response.status == 200
            assert "RateLimit" not in response.headers


async def test_calls_are_possible_again_after_the_time_that_was_said(
    postgres_settings: PostgresSettings, embedder: Embedder
) -> None:
    async with doors(postgres_settings, embedder, rate_key=2, rate_window_s=1) as [door]:
        token = door.database.create_api_key("ours", "x")

        async def status(wanted: int) -> bool:
            return (await pinged(door, token))[0] == wanted

        await eventually(lambda: status(429))
        await eventually(lambda: status(200))


async def test_without_limits_nothing_is_counted(postgres_settings: PostgresSettings, embedder: Embedder) -> None:
    async with doors(postgres_settings, embedder, rate_key=0, rate_project=0) as [door]:
        status, headers = await pinged(door, door.database.create_api_key("ours", "x"))
        assert status == 200
        assert "RateLimit" not in headers


async def test_gateways_count_together_in_redis_and_alone_without(
    postgres_settings: PostgresSettings,
    embedder: Embedder,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    port = unused_port()
    limits = {"rate_key": 4, "rate_window_s": DAY_S, "redis_url": f"redis://127.0.0.1:{port}/0"}
    async with redis(port, monkeypatch) as server, doors(postgres_settings, embedder, 2, **limits) as [one, two]:
        token = one.database.create_api_key("ours", "x")
        statuses = [(await pinged(door, token))[0] for door in (one, two) * 3]
        assert statuses == [200, 200, 200, 200, 429, 429]
        server.kill()
        await server.wait()
        before = RATE_LIMIT_LOCAL._value.get()
        statuses = [(await pinged(door, token))[0] for door in (one, two) * 5]
        assert statuses == [200] * 8 + [429] * 2
        assert RATE_LIMIT_LOCAL._value.get() - before == 18  # by key, and those that go on by project
        # Each gateway asked once in vain, and then counted alone: no call was held up by a Redis that is away.
        assert caplog.text.count("Redis does not count calls") == 2


async def test_bodies_are_bounded_in_size_and_time(
    postgres_settings: PostgresSettings, embedder: Embedder
) -> None:
    async with doors(postgres_settings, embedder, body_max_bytes=2048, body_timeout_s=0.5) as [door]:
        token = door.database.create_api_key("ours", "x")
        body = {"query": "x" * 3000, "user_id": "a"}
        status, document = await door.answer("POST", "/v3/memories/search/", token, body)
        assert (status, document["code"]) == (413, "too_large")
        head = f"POST /v3/memories/search/ HTTP/1.1\r\nHost: x\r\nX-API-Key: {token}\r\n"
        answer = await raw(door, f"{head}Content-Length: 100\r\n\r\n{{".encode())
        assert problem(answer)[0] == 408
        assert problem(answer)[1]["code"] == "body_too_slow"
        answer = await raw(door, f"{head}Content-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc".encode())
        assert problem(answer)[0] == 400
        deep = "[" * 100 + "]" * 100
        assert await door.ping(token) == 200
        for text in (f'{{"query": {deep}}}', '{"query": "\\u0000"}', "[]", "7", '{"a":1', "\xff"):
            data = text.encode("latin-1")
            async with door.session.post(
                f"{door.url}/v3/memories/search/", data=data, headers={"X-API-Key": token}
            ) as response:
                assert response.status == 400, text


async def test_what_is_not_http_gets_a_problem(postgres_settings: PostgresSettings, embedder: Embedder) -> None:
    async with doors(postgres_settings, embedder) as [door]:
        for data in (
            b"NONSENSE\r\n\r\n",
            b"GET / HTTP/9.9\r\n\r\n",
            b"GET /health HTTP/1.1\r\nBad Header\r\n\r\n",
            b"GET /health HTTP/1.1\r\nHost: x\r\nA: \x00\r\n\r\n",
            b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n",
            b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        ):
            status, document = problem(await raw(door, data))
            assert (status, document["code"]) == (400, "malformed_request"), data
            assert document["detail"] == document["error"]
        for data in (
            b"GET /health HTTP/1.1\r\nHost: x\r\nA: " + b"x" * 20_000 + b"\r\n\r\n",
            b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: x\r\n" + b"".join(b"A%d: x\r\n" % n for n in range(1000)) + b"\r\n",
        ):
            status, document = problem(await raw(door, data))
            assert (status, document["code"]) == (431, "header_too_large"), data[:40]


async def test_random_bytes_harm_nobody(postgres_settings: PostgresSettings, embedder: Embedder) -> None:
    random = Random(7)
    async with doors(postgres_settings, embedder, header_timeout_s=0.3, body_timeout_s=0.3) as [door]:
        token = door.database.create_api_key("ours", "x", ("read", "write", "admin"))
        good = (
            f"POST /v3/memories/search/?page=1 HTTP/1.1\r\nHost: x\r\nAuthorization: Token {token}\r\n"
            'Content-Type: application/json\r\nContent-Length: 33\r\n\r\n{"query": "x", "user_id": "a\\u00e9"}'
        ).encode()
        answers = []
        for _ in range(20):
            batch = []
            for _ in range(10):
                data = bytearray(good)
                for _ in range(random.randint(1, 6)):
                    data[random.randrange(len(data))] = random.randrange(256)
                batch.append(raw(door, bytes(data)))
            answers += await asyncio.gather(*batch)
        statuses = {int(answer.split()[1]) for answer in answers if answer}
        assert 500 not in statuses
        assert statuses & {400, 401, 404}
        assert await door.ping(token) == 200


async def test_slow_headers_are_cut_off(postgres_settings: PostgresSettings, embedder: Embedder) -> None:
    async with doors(postgres_settings, embedder, header_timeout_s=0.5) as [door]:
        started = time.monotonic()
        assert await raw(door, b"") == b""
        assert await raw(door, b"GET /health HTTP/1.1\r\n") == b""
        # A second request of the same connection has no longer.
        reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
        writer.write(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await reader.readuntil(b'{"status":"ok"}')).startswith(b"HTTP/1.1 200 OK")
        writer.write(b"GET /health HTTP/1.1\r\n")
        assert await reader.read() == b""
        writer.close()
        # Each of the three sooner than without the setting.
        assert time.monotonic() - started < GatewaySettings().header_timeout_s


async def test_a_call_may_take_longer_than_its_header(
    postgres_settings: PostgresSettings, embedder: Embedder
) -> None:
    async with doors(postgres_settings, embedder, header_timeout_s=1, body_timeout_s=60) as [door]:
        token = door.database.create_api_key("ours", "x")
        reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
        body = json.dumps({"filters": {"user_id": "a"}}).encode()
        head = (
            f"POST /v3/memories/ HTTP/1.1\r\nHost: x\r\nX-API-Key: {token}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        writer.write(head.encode())
        for byte in body:
            writer.write(bytes([byte]))
            await asyncio.sleep(0.06)
        assert (await reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 200 OK")
        writer.close()


async def test_a_caller_that_drips_is_cut_off(postgres_settings: PostgresSettings, embedder: Embedder) -> None:
    async with doors(postgres_settings, embedder, header_timeout_s=0.5) as [door]:
        reader, writer = await asyncio.open_connection("127.0.0.1", door.port)

        async def drip() -> None:
            for byte in b"GET /health HTTP/1.1\r\n" + b"A: x\r\n" * 100:
                writer.write(bytes([byte]))
                await asyncio.sleep(0.05)

        dripping = asyncio.create_task(drip())
        # A byte that was under way as the connection ended turns its end into a reset.
        with suppress(ConnectionResetError):
            assert await asyncio.wait_for(reader.read(), 30) == b""
        assert not dripping.done()
        dripping.cancel()
        writer.close()


async def test_there_is_an_end_to_connections(postgres_settings: PostgresSettings, embedder: Embedder) -> None:
    async with doors(postgres_settings, embedder, connections_max=10) as [door]:
        writers = [(await asyncio.open_connection("127.0.0.1", door.port))[1] for _ in range(10)]

        async def refused() -> bool:
            answer = await raw(door, b"GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            return answer.startswith(b"HTTP/1.1 503") and problem(answer)[1]["code"] == "too_many_connections"

        await eventually(refused)
        for writer in writers:
            writer.close()

        async def served() -> bool:
            answer = await raw(door, b"GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            return answer.startswith(b"HTTP/1.1 200")

        await eventually(served)


async def test_health_answers_beside_idle_and_slow_connections(
    postgres_settings: PostgresSettings, embedder: Embedder
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 4096:
        pytest.skip("this machine allows too few open files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 4096), hard))
    writers = []
    async with doors(postgres_settings, embedder, header_timeout_s=60) as [door]:
        try:
            for number in range(1200):
                _, writer = await asyncio.open_connection("127.0.0.1", door.port)
                writers.append(writer)
                if number >= 1000:
                    writer.write(b"POST /v3/memories/ HTTP/1.1\r\nHost: x\r\n")
            took = []
            for _ in range(20):
                started = time.monotonic()
                async with door.session.get(f"{door.url}/health/live") as response:
                    assert response.status == 200
                took.append(time.monotonic() - started)
            assert sorted(took)[10] < 0.5
        finally:
            for writer in writers:
                writer.close()


async def test_browsers_are_told_who_may_call(postgres_settings: PostgresSettings, embedder: Embedder) -> None:
    async with doors(postgres_settings, embedder, cors_origins="https://a.example, https://b.example/") as [door]:
        asks = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
        for origin, allowed in (
            ("https://a.example", True),
            ("https://b.example", True),
            ("https://c.example", False),
        ):
            url = f"{door.url}/v3/memories/search/"
            async with door.session.options(url, headers={"Origin": origin, **asks}) as response:
                assert response.status == (204 if allowed else 401)
                assert response.headers.get("Access-Control-Allow-Origin") == (origin if allowed else None)
                assert ("Authorization" in response.headers.get("Access-Control-Allow-Headers", "")) is allowed
            # Errors are readable for a page that may call, or it could not say what is wrong.
            async with door.session.get(url, headers={"Origin": origin}) as response:
                assert response.headers.get("Access-Control-Allow-Origin") == (origin if allowed else None)
                assert "Origin" in response.headers["Vary"]


async def test_without_origins_no_page_may_call(postgres_settings: PostgresSettings, embedder: Embedder) -> None:
    async with doors(postgres_settings, embedder) as [door]:
        headers = {"Origin": "https://a.example", "Access-Control-Request-Method": "GET"}
        async with door.session.options(f"{door.url}/health", headers=headers) as response:
            assert "Access-Control-Allow-Origin" not in response.headers


@pytest.mark.parametrize("path", ["/health", "/nowhere", "/metrics", "/v1/ping/"])
async def test_every_answer_closes_what_browsers_could_be_led_to(
    postgres_settings: PostgresSettings, embedder: Embedder, path: str
) -> None:
    async with doors(postgres_settings, embedder) as [door], door.session.get(door.url + path) as response:
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert response.headers["X-Frame-Options"] == "DENY"
        assert "default-src 'none'" in response.headers["Content-Security-Policy"]
        assert response.headers["Cache-Control"] == "no-store"
        assert response.headers["Server"] == "AgentMem"
        assert "Python" not in str(response.headers)
