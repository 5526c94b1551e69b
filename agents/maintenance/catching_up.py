"""Waiting until a group has committed all that a topic held at a moment."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from schemas.problems import StalledError
from streams.lag import LagReader

_POLL_S: Final = 0.5


async def caught_up(
    lag: LagReader, stall_s: float, tell: Callable[[int], None] = lambda _: None, *, poll_s: float = _POLL_S
) -> None:
    """Return when all that is in the topic now has been committed; ``tell`` hears how many records are left.

    Raises ``StalledError`` when nothing at all is committed for ``stall_s``, ``StoreUnavailableError``.
    """
    loop = asyncio.get_running_loop()
    ends = (await lag.read()).end
    left, moved = -1, loop.time()
    while True:
        now = await lag.read()
        before, left = left, sum(max(0, end - now.position(partition)) for partition, end in ends.items())
        if not left:
            return
        tell(left)
        if left != before:
            moved = loop.time()
        elif loop.time() - moved > stall_s:
            raise StalledError(
                f"{left} records wait, and none was committed for {stall_s:g} s: is a worker running?"
            )
        await asyncio.sleep(poll_s)
