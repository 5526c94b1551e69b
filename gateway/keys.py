"""API keys looked up lately."""

from __future__ import annotations

import time
from collections import OrderedDict
from hashlib import sha256
from typing import Final

from gateway.threads import Call
from infra.postgres import ApiKey, Database

_MAX: Final = 10_000


class KeyCache:
    """API keys by the hash of their token, each for ``ttl_s`` seconds.

    Only keys that exist are remembered: a new key works at once, and wrong ones cannot crowd out right ones.
    """

    def __init__(self, database: Database, call: Call, ttl_s: float) -> None:
        self._database = database
        self._call = call
        self._ttl_s = ttl_s
        self._entries: OrderedDict[bytes, tuple[float, ApiKey]] = OrderedDict()

    async def find(self, token: str) -> ApiKey | None:
        """The key of this token, or None. Raises ``StoreUnavailableError``."""
        digest = sha256(token.encode()).digest()
        entry = self._entries.get(digest)
        if entry is not None and time.monotonic() < entry[0]:
            return entry[1]
        self._entries.pop(digest, None)
        key = await self._call(self._database.api_key, token)
        if key is not None:
            self._entries[digest] = time.monotonic() + self._ttl_s, key
            if len(self._entries) > _MAX:
                self._entries.popitem(last=False)
        return key
