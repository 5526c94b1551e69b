"""Sending to Kafka what the past holds, so that whoever forgets somebody meanwhile knows of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager

from infra.postgres import Database
from schemas.problems import StoreUnavailableError


@asynccontextmanager
async def unredacted(database: Database, project: str) -> AsyncGenerator[Callable[[], Awaitable[None]]]:
    """No forgetting begins or ends in the project while this lasts: what is read here is sent before.

    Ask what it gives right before anything is sent. That, and the end of this, raise ``StoreUnavailableError``
    when it does not last any more.
    """
    loop = asyncio.get_running_loop()
    held = ExitStack()
    # A thread of its own, which alone uses the connection, one call after the other.
    thread = ThreadPoolExecutor(1)

    async def ask(question: Callable[[], None]) -> None:
        try:
            await loop.run_in_executor(thread, question)
        except StoreUnavailableError as error:
            raise StoreUnavailableError(
                error.component,
                f"the lock that a forget waits for was lost. Do this again, and if somebody was forgotten in "
                f"{project} meanwhile, forget them again ({error.detail})",
            ) from error

    try:
        check = await loop.run_in_executor(thread, held.enter_context, database.replaying.unredacted(project))
        yield lambda: ask(check)
    except BaseException:
        # Not waited for: who is cancelled may still be in the queue for the lock. It is given back when it comes.
        thread.submit(held.close)
        raise
    else:
        await ask(held.close)
    finally:
        thread.shutdown(wait=False)
