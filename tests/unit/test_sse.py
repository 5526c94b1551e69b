"""Reading a stream of server-sent events."""

from __future__ import annotations

from collections.abc import AsyncIterator

from agentmem.sse import ServerEvent, server_events


async def lines(text: str) -> AsyncIterator[bytes]:
    for line in text.splitlines(keepends=True):
        yield line.encode()


async def test_events_comments_and_joined_data() -> None:
    text = ": hello\n\nid: 1\nevent: a\ndata: x\n\ndata:y\ndata: z\r\n\r\nretry: 5\ndata: never ended\n"
    assert [event async for event in server_events(lines(text))] == [
        ServerEvent("1", "a", "x"),
        ServerEvent("1", "message", "y\nz"),
    ]


async def test_an_id_alone_is_told_once() -> None:
    text = "id: 1\n\n: ping\n\nid: 1\n\ndata: x\n\nid: 2\n\n"
    assert [event async for event in server_events(lines(text))] == [
        ServerEvent("1", "message", ""),
        ServerEvent("1", "message", "x"),
        ServerEvent("2", "message", ""),
    ]
