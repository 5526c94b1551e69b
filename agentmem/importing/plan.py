"""The first pass over what is imported: every line checked before any is published."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import orjson

from agentmem.exit_codes import CommandError
from agentmem.importing.requests import LineError, LineReader, Record
from agentmem.importing.sources import Line, Source

DIGEST_LENGTH: Final = 16


@dataclass(frozen=True, slots=True)
class Checked:
    """A source after its check: how much of it is imported, and the name its requests get."""

    source: Source
    #: What request ids begin with: the same again for the same content and the same scope.
    prefix: str
    digest: bytes
    lines: int
    valid: int
    invalid: int


def check(
    source: Source, reader: LineReader, prefix: str, report: Callable[[str], None], advance: Callable[[], None]
) -> Checked:
    """Read all lines; each invalid one is given to ``report`` as one sentence."""
    content = _content_hash(reader)
    lines = valid = invalid = 0
    for line in source.lines(reader.max_bytes):
        lines += 1
        content.update(b"%d %s\n" % (line.number, line.data))
        try:
            _record(reader, line)
            valid += 1
        except LineError as error:
            invalid += 1
            report(f"{source.name}:{line.number}: {error}")
        advance()
    digest = content.digest()
    return Checked(source, f"{prefix}:{digest.hex()[:DIGEST_LENGTH]}", digest, lines, valid, invalid)


def records(checked: Checked, reader: LineReader) -> Iterator[Record]:
    """The second pass: the valid lines as requests. Raises ``CommandError`` if the source has changed since."""
    content = _content_hash(reader)
    for _, line in zip(range(checked.lines), checked.source.lines(reader.max_bytes), strict=False):
        content.update(b"%d %s\n" % (line.number, line.data))
        try:
            yield _record(reader, line, f"{checked.prefix}:{line.number}")
        except LineError:
            continue  # reported by the check
    if content.digest() != checked.digest:
        raise CommandError(f"{checked.source.name} changed while it was imported: import it again")


def _record(reader: LineReader, line: Line, *request_id: str) -> Record:
    if line.too_long:
        raise LineError(f"the line is longer than {reader.max_bytes} bytes (kafka.request_max_bytes)")
    return reader.record(line.data, *request_id)


def _content_hash(reader: LineReader) -> hashlib._Hash:
    # The scope is part of it: the same chat imported for another user is another import.
    return hashlib.sha256(orjson.dumps([reader.project, dict(reader.ids)], option=orjson.OPT_SORT_KEYS))
