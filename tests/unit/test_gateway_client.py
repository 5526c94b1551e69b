"""The commands' client of the gateway, on connections that go wrong."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from agentmem.client import GatewayClient
from agentmem.exit_codes import CommandError, ExitCode
from agentmem.settings import Settings

_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


@asynccontextmanager
async def streaming(rest: bytes, *, close: bool, silence_s: float = 60) -> AsyncIterator[AsyncIterator[bytes]]:
    """A stream of one line; when that was read, ``rest`` comes."""
    read, over = asyncio.Event(), asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(_HEAD + b"6\r\nid: 1\n\r\n")
        await read.wait()
        writer.write(rest)
        if not close:
            await over.wait()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    settings = Settings(url=f"http://127.0.0.1:{port}", api_key="k")
    try:
        async with GatewayClient(settings) as client, client.stream("/", {}, {}, silence_s) as lines:
            assert await anext(lines) == b"id: 1\n"
            read.set()
            yield lines
    finally:
        over.set()
        server.close()
        await server.wait_closed()


@pytest.mark.parametrize(
    ("rest", "close"),
    [(b"", False), (b"", True), (b"HTTP/1.1 503 Service Unavailable\r\n\r\n", False)],
    ids=["silent", "lost", "nonsense"],
)
async def test_a_stream_that_is_lost_can_be_asked_for_again(rest: bytes, close: bool) -> None:
    async with asyncio.timeout(60):
        with pytest.raises(CommandError) as caught:
            async with streaming(rest, close=close, silence_s=2) as lines:
                await anext(lines)
    assert caught.value.code is ExitCode.UNAVAILABLE


async def test_a_stream_that_is_over_ends() -> None:
    async with streaming(b"0\r\n\r\n", close=False) as lines:
        assert [line async for line in lines] == []
