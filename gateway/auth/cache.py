"""What was looked up lately: kept for a short time, and looked up once however many ask at the same moment."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final, Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")

_MAX: Final = 10_000


class TtlCache(Generic[K, V]):
    """Values by their key, each for ``ttl_s`` seconds.

    Only what exists is remembered: what is new works at once, and wrong keys cannot crowd out right ones.
    """

    def __init__(self, load: Callable[[K], Awaitable[V | None]], ttl_s: float) -> None:
        self._load = load
        self._ttl_s = ttl_s
        self._entries: OrderedDict[K, tuple[float, V]] = OrderedDict()
        self._loading: dict[K, asyncio.Task[V | None]] = {}

    async def find(self, key: K) -> V | None:
        """The value, or None when there is none. Raises what looking it up raises."""
        entry = self._entries.get(key)
        if entry is not None and time.monotonic() < entry[0]:
            return entry[1]
        task = self._loading.get(key)
        if task is None:
            task = self._loading[key] = asyncio.create_task(self._fetch(key))
            task.add_done_callback(partial(self._loaded, key))
        # A caller that goes away must not take the answer from the others who wait for it.
        return await asyncio.shield(task)

    def forget(self, key: K) -> None:
        """Look this key up anew the next time."""
        self._entries.pop(key, None)

    def _loaded(self, key: K, task: asyncio.Task[V | None]) -> None:
        del self._loading[key]
        if not task.cancelled():
            task.exception()  # when all who asked have gone, nobody else looks at it

    async def _fetch(self, key: K) -> V | None:
        # The time from before the lookup: a value must not live longer than since it was true.
        until = time.monotonic() + self._ttl_s
        self._entries.pop(key, None)
        value = await self._load(key)
        if value is not None:
            self._entries[key] = until, value
            if len(self._entries) > _MAX:
                self._entries.popitem(last=False)
        return value
