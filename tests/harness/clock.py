"""A clock that jumps, for processes started with its environment (by libfaketime; their timers go on as ever)."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path


class Clock:
    """``set`` moves the clock of all these processes at once."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "clock"
        self.set(0)

    def set(self, ahead_s: int) -> None:
        """Let the clock be this many seconds ahead of the true time, or behind."""
        partial = self._file.with_suffix(".partial")
        partial.write_text(f"{ahead_s:+d}\n")
        partial.replace(self._file)

    def environment(self) -> dict[str, str]:
        spec = find_spec("libfaketime")
        assert spec is not None
        assert spec.origin is not None
        library = Path(spec.origin).parent / "vendor" / "libfaketime" / "src" / "libfaketime.so.1"
        return {
            "LD_PRELOAD": str(library),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "DONT_FAKE_MONOTONIC": "1",
        }
