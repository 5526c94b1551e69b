"""Waiting out a store that is down, for as long as it takes, in a command that somebody watches."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import ParamSpec, TypeVar

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_random_exponential

from schemas.problems import StoreUnavailableError

P = ParamSpec("P")
T = TypeVar("T")


class Patience:
    """Does work again until no store is missing; ``waits`` hears of each wait."""

    def __init__(self, waits: Callable[[], None]) -> None:
        self._waits = waits

    async def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a function that blocks, on a thread."""
        return await self.until_done(partial(asyncio.to_thread, function, *args, **kwargs))

    async def until_done(self, work: Callable[[], Awaitable[T]]) -> T:
        """Do this work."""

        def report(_: RetryCallState) -> None:
            self._waits()

        async for attempt in AsyncRetrying(
            retry=retry_if_exception_type(StoreUnavailableError),
            wait=wait_random_exponential(multiplier=0.2, max=5),
            before_sleep=report,
        ):
            with attempt:
                return await work()
        raise AssertionError
