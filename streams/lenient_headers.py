r"""Records whose headers have names that are not UTF-8: aiokafka refuses to read them, and all behind them.

Kafka takes any bytes for a header's name, and a consumer that cannot get past such a record meets it again for
ever. Here those names are escaped (``\xff``) instead; all else of the record, and every other one, is as it was.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from aiokafka import ConsumerRecord
from aiokafka.consumer import fetcher
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import _DefaultRecordBatchPy
from aiokafka.record.memory_records import MemoryRecords, _MemoryRecordsPy


def read_leniently() -> None:
    """Let every consumer of this process read such records."""
    fetcher.MemoryRecords = _Records
    fetcher.PartitionRecords = _PartitionRecords


class _Records:
    """What was fetched of a partition, and its bytes."""

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        records: Any = MemoryRecords(raw)
        self.has_next = records.has_next
        self.next_batch = records.next_batch
        self.size_in_bytes = records.size_in_bytes


class _PartitionRecords(fetcher.PartitionRecords):  # type: ignore[misc]
    _records: Any

    def _unpack_records(self) -> Iterator[ConsumerRecord]:
        try:
            yield from super()._unpack_records()
        except (UnicodeDecodeError, CorruptRecordException):
            # Once more from the batch with that record, by the parser in Python; what was read of it is skipped.
            self._records = _LenientRecords(self._records.raw, self.next_fetch_offset)
            yield from super()._unpack_records()


class _LenientRecords(_MemoryRecordsPy):  # type: ignore[misc]
    def __init__(self, raw: bytes, offset: int) -> None:
        super().__init__(raw)
        self._offset = offset
        self._ahead = self._next_from_there()

    def has_next(self) -> bool:
        return self._ahead is not None

    def next_batch(self) -> Any:
        batch, self._ahead = self._ahead, self._next_from_there()
        return batch

    def _next_from_there(self) -> Any:
        while (data := self._next_slice) is not None:
            batch = super().next_batch()
            if data[self.MAGIC_OFFSET] >= 2:  # older ones have no headers
                batch = _LenientBatch(data)
            if batch is not None and batch.next_offset > self._offset:
                return batch
        return None


class _LenientBatch(_DefaultRecordBatchPy):  # type: ignore[misc]
    _buffer: bytearray

    def _maybe_uncompress(self) -> None:
        super()._maybe_uncompress()
        self._buffer = _LenientBytes(self._buffer)


class _LenientBytes(bytearray):
    """Only names of headers are decoded, as slices."""

    def __getitem__(self, index: Any) -> Any:
        found = super().__getitem__(index)
        return _LenientBytes(found) if isinstance(found, bytearray) else found

    def decode(self, encoding: str = "utf-8", _errors: str = "strict") -> str:
        return super().decode(encoding, "backslashreplace")
