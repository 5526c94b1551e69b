"""Reads bounded in bytes: a page of large memories is more than a gateway or a worker could hold."""

from __future__ import annotations

from collections.abc import Iterator
from functools import reduce
from operator import add
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, FromClause, Row, Select, Subquery, Text, cast, func, select

from schemas.sizes import TOGETHER_BYTES

#: Bytes of texts and metadata in one answer at most. In hand they are there several times, parsed and written.
READ_MAX_BYTES: Final = 32 * 1024 * 1024
#: What is counted. All else in a row is small, or not ``shown``.
_LARGE: Final = ("text", "metadata", "previous_text", "previous_metadata")
_NEVER_SHOWN: Final = frozenset({"vector", "previous_metadata", "payload"})


class TooLargeError(Exception):
    """What was asked for is more than one answer may be."""


def shown(rows: FromClause) -> list[ColumnElement[Any]]:
    """The columns but those that nobody is shown, each of which may take longer to read than all others."""
    return [column for column in rows.c if column.name not in _NEVER_SHOWN]


def size(rows: FromClause) -> ColumnElement[int]:
    """The bytes of a row's texts and metadata."""
    # Postgres knows a text's length without reading it.
    sizes = (func.octet_length(cast(rows.c[name], Text)) for name in _LARGE if name in rows.c)
    return reduce(add, (func.coalesce(one, 0) for one in sizes))


def bounded(connection: Connection, page: Select[Any]) -> Iterator[Row[Any]]:
    """The rows of ``page``, which have a text, in its order. Raises ``TooLargeError`` and has read no more."""
    for row in connection.execute(select(fitting(page, READ_MAX_BYTES))):
        if row.bytes_so_far > READ_MAX_BYTES:
            raise TooLargeError
        yield row


def fitting(page: Select[Any], max_bytes: int = TOGETHER_BYTES) -> Subquery:
    """The first rows of ``page``, in its order, up to the one with which their texts and metadata are too much.

    So the first is there however large it is. ``bytes_so_far`` says how much came up to a row.
    """
    rows = page.subquery()
    # Summed as the rows come; a window without an order of its own leaves them in theirs.
    sized = select(rows, size(rows).label("bytes")).subquery()
    summed = select(sized, func.sum(sized.c.bytes).over(rows=(None, 0)).label("bytes_so_far")).subquery()
    return select(summed).where(summed.c.bytes_so_far - summed.c.bytes <= max_bytes).subquery()
