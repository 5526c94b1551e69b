"""What Kafka acknowledged to a system's producers: to the end it must lie where Kafka said that it lies."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from aiokafka.structs import RecordMetadata

from streams.records import Headers, Record


class Acknowledged:
    """A digest of each record, by its partition and offset in the request topic."""

    def __init__(self) -> None:
        self._digests: dict[tuple[int, int], int] = {}

    def __len__(self) -> int:
        return len(self._digests)

    def note(
        self, key: bytes | None, value: bytes | None, headers: Headers, sent: asyncio.Future[RecordMetadata]
    ) -> None:
        """This record was ``sent``: if Kafka has said that it has it, it counts."""
        if not sent.cancelled() and sent.exception() is None:
            place = sent.result()
            self._digests[place.partition, place.offset] = _digest(key, value, headers)

    def missing(self, records: Iterable[Record]) -> list[tuple[int, int]]:
        """The places of those that are not among the ``records`` of the topic, or not as they were sent."""
        there = {(r.partition, r.offset): _digest(r.key, r.value, r.headers) for r in records}
        return [place for place, digest in self._digests.items() if there.get(place) != digest]


def _digest(key: bytes | None, value: bytes | None, headers: Headers) -> int:
    return hash((key, value, tuple(headers)))
