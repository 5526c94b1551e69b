"""Reads of what is shown: bounded in bytes, as a page of large memories is more than a gateway could hold."""

from __future__ import annotations

from collections.abc import Iterator
from functools import reduce
from operator import add
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, FromClause, Row, Select, Text, cast, func, select

#: Bytes of texts and metadata in one read at most. In hand they are there several times, parsed and written.
READ_MAX_BYTES: Final = 32 * 1024 * 1024
#: What is counted. All else in a row is small, or not ``shown``.
_LARGE: Final = ("text", "metadata", "previous_text")
_NEVER_SHOWN: Final = frozenset({"vector", "previous_metadata", "payload"})


class TooLargeError(Exception):
    """What was asked for is more than one answer may be."""


def shown(rows: FromClause) -> list[ColumnElement[Any]]:
    """The columns but those that nobody is shown, each of which may take longer to read than all others."""
    return [column for column in rows.c if column.name not in _NEVER_SHOWN]


def bounded(connection: Connection, page: Select[Any]) -> Iterator[Row[Any]]:
    """The rows of ``page``, which have a text, in its order. Raises ``TooLargeError`` and has read no more."""
    rows = page.subquery()
    # Summed as the rows come; a window without an order of its own leaves them in theirs.
    # Postgres knows a text's length without reading it.
    sizes = (func.octet_length(cast(rows.c[name], Text)) for name in _LARGE if name in rows.c)
    size = reduce(add, (func.coalesce(size, 0) for size in sizes))
    sized = select(rows, size.label("bytes")).subquery()
    summed = select(sized, func.sum(sized.c.bytes).over(rows=(None, 0)).label("bytes_so_far")).subquery()
    # The row that is too much comes too, to tell.
    statement = select(summed).where(summed.c.bytes_so_far - summed.c.bytes <= READ_MAX_BYTES)
    for row in connection.execute(statement):
        if row.bytes_so_far > READ_MAX_BYTES:
            raise TooLargeError
        yield row
