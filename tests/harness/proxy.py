"""A network that misbehaves: a proxy between a client and a store, whose faults can be changed at any time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from random import Random

_CHUNK = 64 * 1024


@dataclass
class Faults:
    """What happens to each piece of data, either way."""

    #: Seconds that it takes longer.
    latency_s: float = 0.0
    #: How often it is lost and comes again later, as TCP does it: a part of the pieces, and seconds.
    loss: float = 0.0
    resent_after_s: float = 0.0
    #: How often its connection breaks instead.
    broken: float = 0.0
    #: Until then nothing comes through, not even that a side has closed. Afterwards of the pieces held back every
    #: second one breaks its connection; the others come.
    silent_until: asyncio.Event | None = None


class Proxy:
    """Listens at ``port`` for a store; ``faults`` hold for every connection."""

    def __init__(self, target: str, random: Random) -> None:
        host, _, port = target.rpartition(":")
        self._target = host, int(port)
        self._random = random
        self.faults = Faults()
        self.port = 0
        #: How many pieces of data came late, were lost at first, were held back; and how many connections broke.
        self.late = self.lost = self.held = self.breaks = 0

    @asynccontextmanager
    async def listening(self, port: int = 0) -> AsyncIterator[Proxy]:
        """Take connections while the block runs."""
        tasks: set[asyncio.Task[None]] = set()

        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            tasks.add(task)
            try:
                with suppress(OSError):
                    await self._forward(reader, writer)
            finally:
                tasks.discard(task)
                writer.transport.abort()

        server = await asyncio.start_server(connected, "127.0.0.1", port)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        to_reader, to_writer = await asyncio.open_connection(*self._target)
        copies = [
            asyncio.create_task(self._copy(reader, to_writer)),
            asyncio.create_task(self._copy(to_reader, writer)),
        ]
        try:
            await asyncio.wait(copies, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for copy in copies:
                copy.cancel()
            await asyncio.gather(*copies, return_exceptions=True)
            to_writer.transport.abort()

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            data = await reader.read(_CHUNK)
            if (end := self.faults.silent_until) is not None and not end.is_set():
                self.held += 1
                breaks = self.held % 2 == 0
                await end.wait()
                if breaks:
                    self.breaks += 1
                    return
            if not data:
                return
            faults = self.faults
            delay_s = faults.latency_s
            self.late += delay_s > 0
            if self._random.random() < faults.loss:
                self.lost += 1
                delay_s += faults.resent_after_s
            if delay_s:
                await asyncio.sleep(delay_s)
            if self._random.random() < faults.broken:
                self.breaks += 1
                return
            writer.write(data)
            await writer.drain()
