"""A moment behind which no row can appear any more."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Final

from infra.postgres import Database

_POLL_S: Final = 0.2


async def settled_moment(database: Database) -> datetime:
    """The database's time now, once every transaction that had written anything by then has ended.

    The time of a row's change is taken before its transaction commits, which a paused worker may do much later.
    """
    now, mark = await asyncio.to_thread(database.moment)
    while not await asyncio.to_thread(database.settled, mark):  # noqa: ASYNC110  # it happens in the database
        await asyncio.sleep(_POLL_S)
    return now
