"""What the bodies of all calls may take together, and what becomes of those that never arrive."""

from __future__ import annotations

import asyncio

import pytest

from infra.onnx import Embedder
from infra.postgres import PostgresSettings
from tests.integration.doors import Door, doors
from tests.integration.gateway_world import eventually
from tests.integration.test_gateway_limits import raw

PATH = "/v3/memories/search/"


async def stalled(door: Door, head: str, length: int) -> asyncio.StreamWriter:
    """A call whose body stops one byte before its end."""
    _, writer = await asyncio.open_connection("127.0.0.1", door.port)
    writer.write(f"{head}Host: x\r\nContent-Length: {length}\r\n\r\n".encode() + b"x" * (length - 1))
    await writer.drain()
    return writer


async def test_bodies_are_bounded_all_together(postgres_settings: PostgresSettings, embedder: Embedder) -> None:
    async with doors(postgres_settings, embedder, body_max_bytes=2048, bodies_max_bytes=4096) as [door]:
        token = door.database.create_api_key("ours", "x")
        head = f"POST {PATH} HTTP/1.1\r\nX-API-Key: {token}\r\n"
        writers = [await stalled(door, head, 2048) for _ in range(2)]

        async def code(wanted: str) -> bool:
            async with door.session.post(door.url + PATH, data=b"nope", headers={"X-API-Key": token}) as response:
                assert (response.status == 503) == ("Retry-After" in response.headers)
                return bool((await response.json(content_type=None))["code"] == wanted)

        await eventually(lambda: code("too_many_bodies"))
        # What brings no body goes on, and what was held is free again when its caller has gone.
        assert await door.ping(token) == 200
        for writer in writers:
            writer.close()
        await eventually(lambda: code("invalid_json"))


async def test_without_a_key_hardly_any_body_is_read(
    postgres_settings: PostgresSettings, embedder: Embedder
) -> None:
    async with doors(postgres_settings, embedder, bodies_max_bytes=1024 * 1024) as [door]:
        token = "x" * 20_000
        status, document = await door.answer("POST", "/v1/tokens/refresh/", body={"refresh_token": token})
        assert (status, document["code"]) == (413, "too_large")
        head = b"GET /health/live HTTP/1.1\r\nHost: x\r\nContent-Length: 1048576\r\n\r\n"
        assert (await raw(door, head + b"x" * 1000)).startswith(b"HTTP/1.1 200")


async def test_a_caller_that_hangs_up_is_no_failure_of_ours(
    postgres_settings: PostgresSettings, embedder: Embedder, caplog: pytest.LogCaptureFixture
) -> None:
    async with doors(postgres_settings, embedder) as [door]:
        token = door.database.create_api_key("ours", "x")

        async def ended() -> int:
            async with door.session.get(f"{door.url}/metrics") as response:
                lines = (await response.text()).splitlines()
            label = f'route="{PATH}",status="400"'
            return int(
                sum(float(line.split()[-1]) for line in lines if "requests_total" in line and label in line)
            )

        before = await ended()
        (await stalled(door, f"POST {PATH} HTTP/1.1\r\nX-API-Key: {token}\r\n", 100)).close()

        async def counted() -> bool:
            return await ended() > before

        await eventually(counted)
        assert not [record for record in caplog.records if record.exc_info]
