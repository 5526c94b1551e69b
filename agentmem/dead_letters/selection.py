"""Which dead letters are meant, and which of them somebody has dealt with."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from agentmem.exit_codes import CommandError
from infra.postgres import Database
from infra.postgres.audit import AuditEntry
from streams.dead_letter_log import DeadLetter, read_dead_letter, read_dead_letters
from streams.settings import KafkaSettings

REPLAYED: Final = "dlq.replay"
DROPPED: Final = "dlq.drop"
REOPENED: Final = "request.reopen"

#: Dead letters that the audit is asked about at a time. They may be large.
_PAGE: Final = 20


@dataclass(frozen=True, slots=True)
class Selection:
    """Which dead letters: those that fit all that is given. ``source``: topic, topic/partition, or with offset."""

    reasons: frozenset[str] = frozenset()
    stages: frozenset[str] = frozenset()
    project: str | None = None
    source: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    @property
    def is_all(self) -> bool:
        """Whether nothing is asked for."""
        return self == Selection()

    def matches(self, letter: DeadLetter) -> bool:
        return (
            (not self.reasons or letter.reason in self.reasons)
            and (not self.stages or letter.stage in self.stages)
            and self.project in (None, letter.project)
            and (self.source is None or f"{letter.source}/".startswith(f"{self.source.rstrip('/')}/"))
            and (self.since is None or letter.at >= self.since)
            and (self.until is None or letter.at < self.until)
        )


@dataclass(frozen=True, slots=True)
class Listed:
    """A dead letter, and what was done with it last, if anything was."""

    letter: DeadLetter
    handled: AuditEntry | None


async def select(
    settings: KafkaSettings, database: Database, selection: Selection, *, handled: bool
) -> AsyncGenerator[Listed, None]:
    """The dead letters of a selection by time; those that were dealt with too if ``handled``."""
    page: list[DeadLetter] = []
    async with aclosing(read_dead_letters(settings, selection.since or "beginning")) as letters:
        async for letter in letters:
            if selection.matches(letter):
                page.append(letter)
            if len(page) == _PAGE:
                for one in await _with_handling(database, page):
                    if handled or one.handled is None:
                        yield one
                page.clear()
    for one in await _with_handling(database, page):
        if handled or one.handled is None:
            yield one


async def named(
    settings: KafkaSettings, database: Database, ids: Sequence[tuple[int, int]]
) -> AsyncGenerator[Listed, None]:
    """The dead letters with these ids, dealt with or not. Raises ``CommandError`` for one that is not there."""
    for partition, offset in ids:
        letter = await read_dead_letter(settings, partition, offset)
        if letter is None:
            raise CommandError(f"there is no dead letter {partition}/{offset}, or Kafka no longer keeps it")
        yield (await _with_handling(database, [letter]))[0]


async def _with_handling(database: Database, letters: Sequence[DeadLetter]) -> list[Listed]:
    """What was done with each of these."""
    entries = await asyncio.to_thread(database.audit.of, [letter.place for letter in letters])
    done = {
        (entry.subject, entry.detail["timestamp"]): entry
        for entry in entries
        if entry.action in (REPLAYED, DROPPED)
    }
    return [Listed(letter, done.get((letter.place, timestamp(letter)))) for letter in letters]


def timestamp(letter: DeadLetter) -> int:
    """Its time in Kafka: a topic that was made anew counts its offsets from 0 again."""
    return round(letter.record.timestamp * 1000)


def entry(letter: DeadLetter, action: str, who: str, **more: object) -> AuditEntry:
    """What the audit keeps of a dead letter: where it lies and what was done, never what it holds."""
    detail = {
        "timestamp": timestamp(letter),
        "reason": _storable(letter.reason),
        "stage": _storable(letter.stage),
        "source": _storable(letter.source),
        "request_id": _storable(letter.request_id),
        **more,
    }
    return AuditEntry(_storable(letter.project), action, letter.place, detail, who)


def _storable(text: str | None) -> str | None:
    # Postgres stores no U+0000, and a dead letter may hold anything.
    return None if text is None else text.replace("\0", "\ufffd")
