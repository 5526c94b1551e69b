"""How much memory a process took."""

from __future__ import annotations

import re
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_PEAK: Final = re.compile(r"^VmHWM:\s+(\d+) kB$", re.MULTILINE)
_MB_IN_KIB: Final = 1.024e-3


def peak_mb(pid: int) -> float:
    """The most memory that a running process had at one time, in MB."""
    found = _PEAK.search(Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1]) * _MB_IN_KIB


@dataclass
class Traced:
    """``peak``: the most, in bytes, that Python held at one time of what was allocated since."""

    peak: int = 0


@contextmanager
def traced() -> Iterator[Traced]:
    """What this process allocates in the block."""
    found = Traced()
    tracemalloc.start()
    try:
        yield found
        _, found.peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
