"""The dead-letter record: the original bytes, with headers that say why it was set aside."""

from __future__ import annotations

from typing import Final

from schemas.problems import RecordRejectedError
from streams.records import Headers, Record

# The headers that Kafka Connect made customary, so that existing tools read ours.
PREFIX: Final = "__connect.errors."
#: How large the record is, where it is too large to be in the dead letter.
SIZE_HEADER: Final = f"{PREFIX}value.bytes"
#: A reason is for a person to read; what is longer would repeat the record itself.
_DETAIL_LIMIT: Final = 1_000


def dead_letter_headers(record: Record, error: RecordRejectedError, stage: str) -> Headers:
    """The record's own headers, then where it was read and why it was set aside."""
    return [*record.headers, *_reasons(record, error, stage)]


def oversize_headers(record: Record, error: RecordRejectedError, stage: str) -> list[tuple[str, bytes]]:
    """The headers of a dead letter without its record: where that lies, why, and how large it is, in bytes."""
    return [*_reasons(record, error, stage), (SIZE_HEADER, str(len(record.value or b"")).encode())]


def _reasons(record: Record, error: RecordRejectedError, stage: str) -> list[tuple[str, bytes]]:
    detail = error.detail if len(error.detail) <= _DETAIL_LIMIT else error.detail[: _DETAIL_LIMIT - 1] + "…"
    reasons = {
        "topic": record.topic,
        "partition": str(record.partition),
        "offset": str(record.offset),
        "stage": stage,
        "exception.class.name": error.reason.value,
        "exception.message": detail,
    }
    return [(PREFIX + name, text.encode(errors="replace")) for name, text in reasons.items()]
