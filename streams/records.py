"""A record as it was read from Kafka, and the batch that it travels in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

TopicPartition = tuple[str, int]
Headers = Sequence[tuple[str, bytes | None]]

#: What an object or array of JSON takes in memory, beside its own bytes, in a request; a message takes twice that.
_OBJECT_BYTES: Final = 256


@dataclass(frozen=True, slots=True)
class Record:
    """Raw key, value and headers, byte for byte, and where they were read. ``timestamp`` is in Unix seconds."""

    topic: str
    partition: int
    offset: int
    timestamp: float
    key: bytes | None
    value: bytes | None
    headers: Headers = ()

    @property
    def size(self) -> int:
        """Bytes of key, value and headers."""
        headers = sum(len(name) + len(value or b"") for name, value in self.headers)
        return len(self.key or b"") + len(self.value or b"") + headers

    @property
    def weight(self) -> int:
        """About the bytes that its request takes in memory, which may be fifty times its own."""
        value = self.value or b""
        return self.size + _OBJECT_BYTES * (value.count(b"{") + value.count(b"["))

    def header(self, name: str) -> str | None:
        """The text of the last header of this name."""
        for key, value in reversed(self.headers):
            if key == name and value is not None:
                return value.decode(errors="replace")
        return None


@dataclass(frozen=True, slots=True)
class Batch:
    """Records that are processed and committed together, in log order within each partition.

    ``generation`` counts the assignments of partitions: a batch of an older one is dropped.
    """

    records: Sequence[Record]
    generation: int

    @property
    def offsets(self) -> dict[TopicPartition, int]:
        """The offset to commit for each partition: that of the next record to read."""
        return {(record.topic, record.partition): record.offset + 1 for record in self.records}
