"""The dead-letter topic, read back: what was set aside, why, and where it came from."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any
from urllib.parse import unquote

import orjson

from schemas.requests import DEFAULT_PROJECT
from streams.dead_letters import PREFIX, SIZE_HEADER
from streams.reading import Start, read_record, read_records
from streams.records import Headers, Record
from streams.settings import KafkaSettings
from streams.topics import Topics

_UNKNOWN = "unknown"


@dataclass(frozen=True)
class DeadLetter:
    """One record of the dead-letter topic."""

    record: Record

    @property
    def id(self) -> str:
        """Its partition and offset in the dead-letter topic: what commands call it by."""
        return f"{self.record.partition}/{self.record.offset}"

    @property
    def place(self) -> str:
        """Topic, partition and offset."""
        return f"{self.record.topic}/{self.id}"

    @property
    def at(self) -> datetime:
        """When it was set aside."""
        return datetime.fromtimestamp(self.record.timestamp, UTC)

    @property
    def reason(self) -> str:
        return self._why("exception.class.name") or _UNKNOWN

    @property
    def stage(self) -> str:
        return self._why("stage") or _UNKNOWN

    @property
    def detail(self) -> str:
        return self._why("exception.message") or ""

    @property
    def source(self) -> str:
        """Topic, partition and offset that it was read from."""
        return "/".join(self._why(part) or _UNKNOWN for part in ("topic", "partition", "offset"))

    @property
    def is_whole(self) -> bool:
        """Whether the record itself is here: one that was too large for this topic is not."""
        return self.record.header(SIZE_HEADER) is None

    @property
    def own_headers(self) -> Headers:
        """The headers that its producer gave it."""
        return tuple(one for one in self.record.headers if not one[0].startswith(PREFIX))

    @cached_property
    def document(self) -> Any:
        """The value as JSON; None when it is not."""
        try:
            return orjson.loads(self.record.value or b"")
        except orjson.JSONDecodeError:
            return None

    @property
    def project(self) -> str | None:
        """Whose it seems to be, by its value or else by its key."""
        if isinstance(self.document, dict):
            project = self.document.get("project") or DEFAULT_PROJECT
            return project if isinstance(project, str) else None
        name = (self.record.key or b"").decode(errors="replace").partition("/")[0]
        return unquote(name) or None

    @property
    def request_id(self) -> str | None:
        """The id of the request, as far as it can be read."""
        found = self.document.get("request_id") if isinstance(self.document, dict) else None
        return found if isinstance(found, str) else None

    def _why(self, name: str) -> str | None:
        return self.record.header(PREFIX + name)


async def read_dead_letters(settings: KafkaSettings, start: Start) -> AsyncGenerator[DeadLetter, None]:
    """All dead letters from ``start`` to what is there now, by time.

    Raises ``StoreUnavailableError``, or ``MisconfiguredError`` without the topic.
    """
    async with aclosing(read_records(settings, Topics.of(settings).dead_letters, start)) as records:
        async for record in records:
            yield DeadLetter(record)


async def read_dead_letter(settings: KafkaSettings, partition: int, offset: int) -> DeadLetter | None:
    """One dead letter; None when it is not there, or no longer. Raises what :func:`read_dead_letters` does."""
    record = await read_record(settings, Topics.of(settings).dead_letters, partition, offset)
    return None if record is None else DeadLetter(record)
