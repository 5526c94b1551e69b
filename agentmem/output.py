"""What commands print: results on stdout (rich on a terminal, plain elsewhere), everything else on stderr."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Final

import click
import orjson

#: DEL, C1, line and paragraph separators, and what turns the direction of text.
_DRIVING: Final = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def show_json(value: object) -> None:
    """One JSON document on one line."""
    show_document(orjson.dumps(value, default=str).decode())


def show_document(document: str) -> None:
    """A JSON document as it is, on one line; on a terminal with characters escaped that could drive that."""
    click.echo(harmless(document) if sys.stdout.isatty() else document)


def harmless(document: str) -> str:
    """The same JSON without raw control characters, of which JSON itself forbids only those below U+0020."""
    return _DRIVING.sub(lambda found: f"\\u{ord(found[0]):04x}", document)


_PLAIN: Final[Mapping[str, str]] = MappingProxyType({})


def show_table(
    columns: Sequence[str], rows: Iterable[Sequence[object]], styles: Mapping[str, str] = _PLAIN
) -> None:
    """Rows under headings on a terminal, tab-separated values without headings elsewhere.

    ``styles`` are those of cells with just that text, on a terminal.
    """
    if not sys.stdout.isatty():
        for row in rows:
            click.echo("\t".join(_flat(cell) for cell in row))
        return
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        # Text, because a memory may hold what looks like markup.
        texts = ["" if cell is None else visible(str(cell)) for cell in row]
        table.add_row(*(Text(text, styles.get(text, "")) for text in texts))
    Console().print(table)


def note(message: str) -> None:
    """A sentence for the person at the terminal, on stderr."""
    click.echo(message, err=True)


def visible(text: str) -> str:
    """The text without control characters, which could drive a terminal; line ends stay."""
    return "".join(c if c.isprintable() or c == "\n" else " " if c == "\t" else "\ufffd" for c in text)


def _flat(cell: object) -> str:
    return "" if cell is None else " ".join(visible(str(cell)).split())
