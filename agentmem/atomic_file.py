"""A file that appears whole or not at all."""

from __future__ import annotations

import gzip
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast


@contextmanager
def atomic_file(path: Path) -> Iterator[IO[bytes]]:
    """Write to this file, which is replaced at the end of the block, unless that is left by an exception.

    Only its owner may read it. One that ends with ``.gz`` is compressed.
    """
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    temporary = Path(name)
    try:
        with open(descriptor, "wb") as file:
            if path.suffix == ".gz":
                with gzip.GzipFile(path.name, fileobj=file, mode="wb") as zipped:
                    yield cast(IO[bytes], zipped)
            else:
                yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink()
        raise
