"""The events as Kafka keeps them, read without a consumer group and without the gateway."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field

from agentmem.output import note
from schemas.inbound import InboundEvent, decode_event
from streams.reading import Start, read_records
from streams.records import Record
from streams.settings import KafkaSettings
from streams.topics import Topics

__all__ = ["Start", "Wanted", "read_events"]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which events: of a project, of all of these ids, of one of these types; what is empty matches any."""

    project: str | None = None
    ids: dict[str, str] = field(default_factory=dict)
    types: frozenset[str] = frozenset()

    def matches(self, event: InboundEvent) -> bool:
        return (
            self.project in (None, event.body.project)
            and (not self.types or event.type.value.rpartition(".")[2] in self.types)
            and self.ids.items() <= event.ids.items()
        )


async def read_events(
    settings: KafkaSettings, start: Start, wanted: Wanted, *, follow: bool
) -> AsyncGenerator[InboundEvent, None]:
    """The events from ``start`` to what is there now, or with ``follow`` for ever; in order within a scope.

    Raises ``StoreUnavailableError`` when Kafka does not answer, ``MisconfiguredError`` without the topic.
    """
    topic = Topics.of(settings).events
    async with aclosing(read_records(settings, topic, start, follow=follow)) as records:
        async for record in records:
            event = _decoded(record)
            if event is not None and wanted.matches(event):
                yield event


def _decoded(record: Record) -> InboundEvent | None:
    try:
        return decode_event(record.key, record.value, record.headers)
    except ValueError as error:
        note(f"{record.topic}/{record.partition}/{record.offset} is no event: {error}")
        return None
