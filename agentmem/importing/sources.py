"""The lines of a file or of stdin, gzip or not, in bounded memory."""

from __future__ import annotations

import gzip
import shutil
import sys
import tempfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, NamedTuple, cast

from agentmem.exit_codes import CommandError, ExitCode

_GZIP_MAGIC: Final = b"\x1f\x8b"


class Line(NamedTuple):
    """One line, counted from 1. A line beyond the limit is cut at it and ``too_long``."""

    number: int
    data: bytes
    too_long: bool


@dataclass(frozen=True, slots=True)
class Source:
    """A file that can be read twice."""

    name: str
    file: IO[bytes]

    def close(self) -> None:
        self.file.close()

    def lines(self, max_bytes: int) -> Iterator[Line]:
        """All lines from the start, blank ones left out but counted. Raises ``CommandError``."""
        self.file.seek(0)
        zipped = self.file.read(len(_GZIP_MAGIC)) == _GZIP_MAGIC
        self.file.seek(0)
        stream = cast(IO[bytes], gzip.GzipFile(fileobj=self.file)) if zipped else self.file
        try:
            yield from _lines(stream, max_bytes)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise CommandError(f"{self.name}: broken gzip data: {error}") from error
        except OSError as error:
            raise CommandError(f"{self.name}: {error.strerror}") from error


def _lines(stream: IO[bytes], max_bytes: int) -> Iterator[Line]:
    number = 0
    while data := stream.readline(max_bytes + 1):
        number += 1
        too_long = len(data) > max_bytes and not data.endswith(b"\n")
        rest = data
        while rest and not rest.endswith(b"\n"):
            rest = stream.readline(max_bytes)
        if stripped := data.strip():
            yield Line(number, stripped, too_long)


def open_source(name: str) -> Source:
    """The file, or stdin for ``-``; close it after use. Raises ``CommandError`` if it cannot be read."""
    try:
        if name == "-":
            return Source("stdin", _spooled(sys.stdin.buffer))
        file = Path(name).open("rb")  # noqa: SIM115 (the source closes it)
        return Source(name, file if file.seekable() else _spooled(file))
    except OSError as error:
        raise CommandError(f"{name}: {error.strerror}", ExitCode.USAGE) from error


def _spooled(stream: IO[bytes]) -> IO[bytes]:
    """A copy on disk, because lines are read twice: all are checked before the first is published."""
    copy = cast(IO[bytes], tempfile.TemporaryFile())  # noqa: SIM115 (the source closes it)
    with stream:
        shutil.copyfileobj(stream, copy)
    return copy
