"""What one gateway counts alone, in its memory."""

from __future__ import annotations

import time
from typing import Final

from limits.aio.storage import MemoryStorage

#: How often what ended is looked for among all keys: a moment's work, but not for each call.
_SWEEP_S: Final = 1.0


class Counts(MemoryStorage):
    """The library's storage, which looks through all keys at each count; this one does so now and then."""

    def __init__(self) -> None:
        super().__init__()
        self._swept = time.time()

    async def incr(self, key: str, expiry: float, amount: int = 1) -> int:
        """Count one more. Nothing here waits, so that no lock is needed."""
        now = time.time()
        if not 0 <= now - self._swept < _SWEEP_S:
            self._swept = now
            for ended in [known for known, until in self.expirations.items() if until <= now]:
                await self.clear(ended)
        count = self.storage[key] = await self.get(key) + amount
        self.expirations.setdefault(key, now + expiry)
        return count

    def has_room(self, key: str, expiry: int, most: int) -> bool:
        """Whether this key is counted already, or fewer than ``most`` are."""
        if len(self.expirations) < most:
            return True
        return any(window in self.expirations for window in self.sliding_window_keys(key, expiry, time.time()))
