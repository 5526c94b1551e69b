"""Rate limits by API key and by project: counted in Redis for all gateways together, or here alone."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from limits import RateLimitItemPerSecond
from limits.aio.storage import MemoryStorage, RedisStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from redis.asyncio import ConnectionPool
from redis.exceptions import RedisError

from gateway.auth.caller import Caller
from gateway.settings_limits import LimitSettings
from infra.telemetry.metrics import RATE_LIMIT_LOCAL

log = logging.getLogger(__name__)

#: How long Redis may take to answer: no call waits longer for being counted.
_REDIS_TIMEOUT_S: Final = 0.25
#: How long each gateway counts alone after Redis failed, before it asks again.
_REDIS_PAUSE_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class Policy:
    """At most ``quota`` calls in ``window_s`` seconds."""

    name: str
    quota: int
    window_s: int

    @property
    def header(self) -> str:
        """The policy as an item of ``RateLimit-Policy``."""
        return f'"{self.name}";q={self.quota};w={self.window_s}'


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a caller stands with one policy: calls left, and seconds until there are more."""

    policy: Policy
    allowed: bool
    remaining: int
    reset_s: int

    @property
    def header(self) -> str:
        """The standing as an item of ``RateLimit``."""
        return f'"{self.policy.name}";r={self.remaining};t={self.reset_s}'


class RateLimiter:
    """Counts each call of a caller against every policy that is on."""

    def __init__(self, settings: LimitSettings) -> None:
        quotas = {"key": settings.rate_key, "project": settings.rate_project}
        self.policies = [Policy(name, quota, settings.rate_window_s) for name, quota in quotas.items() if quota]
        self._items = {
            policy.name: RateLimitItemPerSecond(policy.quota, policy.window_s) for policy in self.policies
        }
        self._local = SlidingWindowCounterRateLimiter(MemoryStorage())
        self._shared: SlidingWindowCounterRateLimiter | None = None
        self._redis: ConnectionPool | None = None
        self._pause_until = 0.0
        if settings.redis_url is not None:
            url = settings.redis_url.get_secret_value()
            self._redis = ConnectionPool.from_url(
                url, socket_timeout=_REDIS_TIMEOUT_S, socket_connect_timeout=_REDIS_TIMEOUT_S
            )
            storage = RedisStorage(
                f"async+{url}",
                implementation="redispy",
                key_prefix="agentmem",
                connection_pool=self._redis,  # type: ignore[arg-type]  # documented, but not in its types
            )
            self._shared = SlidingWindowCounterRateLimiter(storage)

    async def count(self, caller: Caller) -> Sequence[Standing]:
        """Count one call; it may go on when every standing is ``allowed``."""
        if self._shared is not None and time.monotonic() >= self._pause_until:
            try:
                return await self._count(self._shared, caller)
            except (RedisError, OSError, TimeoutError) as error:
                self._pause_until = time.monotonic() + _REDIS_PAUSE_S
                log.warning("Redis does not count calls, each gateway counts alone for now: %s", error)
        if self._shared is not None:
            RATE_LIMIT_LOCAL.inc()
        return await self._count(self._local, caller)

    async def close(self) -> None:
        """Disconnect from Redis."""
        if self._redis is not None:
            await self._redis.aclose()

    async def _count(self, limiter: SlidingWindowCounterRateLimiter, caller: Caller) -> list[Standing]:
        standings: list[Standing] = []
        for policy in self.policies:
            item = self._items[policy.name]
            allowed = await limiter.hit(item, *_who(policy, caller))
            stats = await limiter.get_window_stats(item, *_who(policy, caller))
            reset_s = max(1, math.ceil(stats.reset_time - time.time()))
            standings.append(Standing(policy, allowed, stats.remaining if allowed else 0, reset_s))
            if not allowed:
                break  # a call that one policy refuses must not use up the others
        return standings


def _who(policy: Policy, caller: Caller) -> tuple[str, ...]:
    # The library joins the parts with slashes, which names may hold too.
    parts = (caller.project,) if policy.name == "project" else (caller.project, caller.id)
    return policy.name, *(quote(part, safe="") for part in parts)
