"""API keys as callers present them."""

from __future__ import annotations

from gateway.auth.cache import TtlCache
from gateway.auth.caller import Caller
from gateway.threads import Call
from infra.postgres import ApiKey, Database


class KeyCache:
    """API keys by their token, each remembered for ``ttl_s`` seconds: as long a revoked one still works here."""

    def __init__(self, database: Database, call: Call, ttl_s: float) -> None:
        self._database = database
        self._call = call
        self._keys: TtlCache[str, Caller] = TtlCache(self._load, ttl_s)

    async def find(self, token: str) -> Caller | None:
        """Who presents this token, or None. Raises ``StoreUnavailableError``."""
        return await self._keys.find(token)

    async def _load(self, token: str) -> Caller | None:
        key = await self._call(self._database.api_key, token)
        return None if key is None else caller_of(key)


def caller_of(key: ApiKey) -> Caller:
    """Who presents this key."""
    return Caller(project=key.project, name=key.name, scopes=key.scopes, id=f"key:{key.id}", key_id=key.id)
