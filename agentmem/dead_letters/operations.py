"""What the commands do, each over the dead letters that are named or selected, one after the other."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager, closing, contextmanager
from typing import Any

from agentmem.actor import actor
from agentmem.dead_letters.replay import Replayed, Replayer
from agentmem.dead_letters.selection import DROPPED, Listed, Selection, entry, named, select
from agentmem.dead_letters.showing import summary
from agentmem.progress import progress_bar
from agentmem.settings import Settings
from infra.postgres import Database
from streams.dead_letter_log import DeadLetter
from streams.producer import Producer
from streams.topics import Topics

Ids = Sequence[tuple[int, int]]


async def summaries(
    settings: Settings, selection: Selection, handled: bool, limit: int | None
) -> list[dict[str, Any]]:
    """The dead letters of a selection, in brief."""
    rows: list[dict[str, Any]] = []
    async with _chosen(settings, selection, (), handled) as (_, found):
        async for listed in found:
            rows.append(summary(listed))
            if len(rows) == limit:
                break
    return rows


async def one(settings: Settings, id: tuple[int, int]) -> Listed:
    """One dead letter. Raises ``CommandError`` when it is not there."""
    with closing(Database(settings.postgres)) as database:
        async with aclosing(named(settings.kafka, database, [id])) as found:
            return await anext(found)


async def replay_all(
    settings: Settings,
    selection: Selection,
    ids: Ids,
    change: Callable[[DeadLetter], bytes | None],
    dry_run: bool,
    tell: Callable[[Replayed], None],
) -> None:
    """Replay them, each with the value that ``change`` gives it (None: its own), and ``tell`` of each at once."""
    async with Producer(settings.kafka) as producer, _chosen(settings, selection, ids) as (database, found):
        topic, most = Topics.of(settings.kafka).requests, settings.kafka.request_max_bytes
        replayer = Replayer(database, producer, topic, most, actor(), dry_run=dry_run)
        # Of one there is nothing to show, and an editor may have the terminal.
        with _bar(ids, shown=len(ids) != 1) as advance:
            async for listed in found:
                value = await asyncio.to_thread(change, listed.letter)
                tell(await replayer.replay(listed.letter, value))
                advance()


async def drop_all(
    settings: Settings,
    selection: Selection,
    ids: Ids,
    note: str | None,
    dry_run: bool,
    tell: Callable[[dict[str, Any]], None],
) -> None:
    """Write down that they are dealt with, and ``tell`` of each at once, in brief."""
    async with _chosen(settings, selection, ids) as (database, found):
        with _bar(ids) as advance:
            async for listed in found:
                if not dry_run:
                    done = entry(listed.letter, DROPPED, actor(), note=note)
                    await asyncio.to_thread(database.audit.record, done)
                tell(summary(listed))
                advance()


@contextmanager
def _bar(ids: Ids, *, shown: bool = True) -> Iterator[Callable[[], None]]:
    """How far it is; on a terminal that the results go to, these tell it."""
    with progress_bar(shown=shown and not sys.stdout.isatty()) as progress:
        task = progress.add_task("dead letters", total=len(ids) or None)
        yield lambda: progress.advance(task)


@asynccontextmanager
async def _chosen(
    settings: Settings, selection: Selection, ids: Ids, handled: bool = False
) -> AsyncIterator[tuple[Database, AsyncIterator[Listed]]]:
    """The database, and the dead letters with these ids; without any those of the selection."""
    with closing(Database(settings.postgres)) as database:
        if ids:
            letters = named(settings.kafka, database, ids)
        else:
            letters = select(settings.kafka, database, selection, handled=handled)
        async with aclosing(letters) as found:
            yield database, found
