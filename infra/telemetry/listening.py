"""Serving HTTP on a port of our own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from schemas.problems import MisconfiguredError


@asynccontextmanager
async def listening(runner: web.BaseRunner, host: str, port: int, cure: str) -> AsyncIterator[None]:
    """Serve while the block runs; raises ``MisconfiguredError`` with the cure when the port cannot be opened."""
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as error:
            raise MisconfiguredError(f"{host}:{port} cannot be listened on ({error.strerror}): {cure}") from error
        yield
    finally:
        await runner.cleanup()
