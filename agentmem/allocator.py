"""The C library's allocator, told to give memory back.

By itself glibc keeps an arena for each thread, and takes large pieces from an arena once such a piece was freed.
The holes that large texts leave there add up: with large requests a worker kept half as much again as it used.
"""

from __future__ import annotations

import ctypes
from typing import Final

_KIB: Final = 1024
#: Numbers of malloc.h, each with its value.
_OPTIONS: Final = {
    -8: 2,  # M_ARENA_MAX
    -3: 512 * _KIB,  # M_MMAP_THRESHOLD: what is larger is mapped by itself, and given back when it is freed
    -1: 8_192 * _KIB,  # M_TRIM_THRESHOLD: what is free at an arena's end, and not given back
}


def give_memory_back() -> None:
    """Call it before there are threads. Does nothing where the C library has no ``mallopt``."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        for option, value in _OPTIONS.items():
            mallopt(option, value)
