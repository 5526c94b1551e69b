"""Times on the wire: ISO 8601 (extended form) or Unix seconds; an expiry that is a bare date ends with it."""

from __future__ import annotations

import re
from datetime import UTC, datetime, time
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

_DATE: Final = "[0-9]{4}-[0-9]{2}-[0-9]{2}"
_CLOCK: Final = r"[T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,9})?)?(Z|[+-][0-9]{2}:?[0-9]{2})?"
_TIME_PATTERN: Final = f"^{_DATE}({_CLOCK})?$"
# Python reads many more spellings: Unix milliseconds sent as text would be a date in the year 1712.
_ISO_TIME: Final = re.compile(f"{_DATE}({_CLOCK})?")
_BARE_DATE: Final = re.compile(_DATE)
_UNIX_SECONDS: Final = {
    "type": "number",
    "minimum": -62_135_596_800,
    "exclusiveMaximum": 253_402_300_800,
    "description": "Unix time in seconds.",
}


def parse_instant(value: Any) -> Any:
    """An instant, in UTC, from ISO 8601 text, Unix seconds or a datetime; without a zone it is taken as UTC.

    Raises ``ValueError`` for anything else, and for what lies outside the years 1 to 9999.
    """
    if not isinstance(value, datetime | str | int | float) or isinstance(value, bool):
        raise ValueError("a time is ISO 8601 text or Unix seconds")
    try:
        if isinstance(value, int | float):
            return datetime.fromtimestamp(value, UTC)
        if isinstance(value, str):
            if not _ISO_TIME.fullmatch(value):
                raise ValueError("not in the form 2030-01-31T12:00:00Z")
            value = datetime.fromisoformat(value)
        # Not the machine's zone: what a record means must not depend on where it is read.
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise ValueError(f"not a time: {value!r} ({error})") from error


def parse_expiry(value: Any) -> Any:
    """An instant as in :func:`parse_instant`; a bare date is the last microsecond of that day, UTC."""
    instant = parse_instant(value)
    if isinstance(value, str) and _BARE_DATE.fullmatch(value):
        return datetime.combine(instant, time.max, UTC)
    return instant


def format_instant(value: datetime) -> str:
    """ISO 8601 in UTC with microseconds, so that equal instants are equal bytes."""
    return value.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _schema(bare_date: str) -> WithJsonSchema:
    text = {
        "type": "string",
        "pattern": _TIME_PATTERN,
        "description": f"ISO 8601; without a zone it is UTC; a bare date is {bare_date}.",
    }
    return WithJsonSchema({"anyOf": [text, _UNIX_SECONDS]}, mode="validation")


_serialize = PlainSerializer(format_instant, return_type=str)
_written = WithJsonSchema({"type": "string", "format": "date-time"}, mode="serialization")

Instant = Annotated[
    datetime, BeforeValidator(parse_instant), _serialize, _schema("the start of that day"), _written
]
Expiry = Annotated[datetime, BeforeValidator(parse_expiry), _serialize, _schema("the end of that day"), _written]
