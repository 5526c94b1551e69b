"""Server-sent events as they arrive."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ServerEvent:
    """One event of a ``text/event-stream``. ``id`` is the last one seen, empty before the first.

    Without ``data`` it is none, but a new id to go on from.
    """

    id: str
    type: str
    data: str


async def server_events(lines: AsyncIterable[bytes]) -> AsyncIterator[ServerEvent]:
    """The events and new ids in a stream of lines; comments and fields that we do not use are passed over."""
    last_id, told, kind, data = "", "", "message", list[str]()
    async for raw in lines:
        line = raw.decode().rstrip("\r\n")
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if not line:
            if data or last_id != told:
                yield ServerEvent(last_id, kind, "\n".join(data))
            kind, data, told = "message", [], last_id
        elif name == "data":
            data.append(value)
        elif name == "event":
            kind = value
        elif name == "id":
            last_id = value
