"""Rate limits: calls are counted in Redis for all gateways together, or here alone."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from aiohttp import web
from limits import RateLimitItemPerSecond
from limits.aio.storage import RedisStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from redis.asyncio import ConnectionPool
from redis.exceptions import RedisError

from gateway.auth.caller import Caller
from gateway.http.addresses import wider
from gateway.http.counts import Counts
from gateway.http.problems import ApiError
from gateway.settings_limits import LimitSettings
from infra.telemetry.metrics import RATE_LIMIT_LOCAL, RATE_LIMITED

log = logging.getLogger(__name__)

#: How long Redis may take to answer: no call waits longer for being counted.
_REDIS_TIMEOUT_S: Final = 0.25
#: How long each gateway counts alone after Redis failed, before it asks again.
_REDIS_PAUSE_S: Final = 5.0
#: Addresses of strangers that are counted one by one here; more of them share a count with their wider network.
_ADDRESSES_MAX: Final = 10_000
#: Where the caller stands, for the headers of its answer.
STANDINGS: Final = web.RequestKey("standings", list["Standing"])


@dataclass(frozen=True, slots=True)
class Policy:
    """At most ``quota`` calls in ``window_s`` seconds."""

    name: str
    quota: int
    window_s: int

    @property
    def what(self) -> str:
        """What is counted."""
        return "calls without a good credential" if self.name == "address" else "calls"

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
    """Counts calls. The settings are read at each call: new limits count at once."""

    def __init__(self, settings: LimitSettings) -> None:
        self._settings = settings
        self._local = SlidingWindowCounterRateLimiter(Counts())
        # Of their own: however many strangers come, what is kept of callers stays small.
        self._strangers = Counts()
        self._local_strangers = SlidingWindowCounterRateLimiter(self._strangers)
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

    async def count(self, caller: Caller) -> list[Standing]:
        """Count a call against every policy of its caller; it may go on when every standing is ``allowed``."""
        settings = self._settings
        counted = {
            Policy("key", settings.rate_key, settings.rate_window_s): (caller.project, caller.id),
            Policy("project", settings.rate_project, settings.rate_window_s): (caller.project,),
        }
        standings: list[Standing] = []
        for policy, who in counted.items():
            if policy.quota:
                standings.append(await self._standing(policy, who, count=True))
                if not standings[-1].allowed:
                    break  # a call that one policy refuses must not use up the others
        return standings

    async def count_stranger(self, address: str) -> list[Standing]:
        """Count a call without a good credential."""
        return await self._stranger(address, count=True)

    async def look_at_stranger(self, address: str) -> list[Standing]:
        """Where an address stands, without counting anything."""
        return await self._stranger(address, count=False)

    async def close(self) -> None:
        """Disconnect from Redis."""
        if self._redis is not None:
            await self._redis.aclose()

    async def _stranger(self, address: str, *, count: bool) -> list[Standing]:
        policy = Policy("address", self._settings.rate_address, self._settings.rate_window_s)
        return [await self._standing(policy, (address,), count=count)] if policy.quota else []

    async def _standing(self, policy: Policy, who: tuple[str, ...], *, count: bool) -> Standing:
        if self._shared is not None and time.monotonic() >= self._pause_until:
            try:
                return await _ask(self._shared, policy, who, count=count)
            except (RedisError, OSError, TimeoutError) as error:
                self._pause_until = time.monotonic() + _REDIS_PAUSE_S
                log.warning("Redis does not count calls, each gateway counts alone for now: %s", error)
        if self._shared is not None:
            RATE_LIMIT_LOCAL.inc()
        if policy.name != "address":
            return await _ask(self._local, policy, who, count=count)
        item, parts = _item(policy, who)
        if not self._strangers.has_room(item.key_for(*parts), item.get_expiry(), _ADDRESSES_MAX):
            who = (wider(*who),)
        return await _ask(self._local_strangers, policy, who, count=count)


def refuse(standings: Sequence[Standing]) -> None:
    """A 429 when one of them does not allow the call."""
    for standing in standings:
        if not standing.allowed:
            policy = standing.policy
            RATE_LIMITED.labels(policy.name).inc()
            raise ApiError(
                429,
                "rate_limited",
                f"This {policy.name} may make {policy.quota} {policy.what} in {policy.window_s} s; "
                f"try again in {standing.reset_s} s.",
                headers={"Retry-After": str(standing.reset_s)},
            )


def _item(policy: Policy, who: Sequence[str]) -> tuple[RateLimitItemPerSecond, Sequence[str]]:
    # The library joins the parts with slashes, which names may hold too.
    parts = policy.name, *(quote(part, safe="") for part in who)
    return RateLimitItemPerSecond(policy.quota, policy.window_s), parts


async def _ask(
    limiter: SlidingWindowCounterRateLimiter, policy: Policy, who: Sequence[str], *, count: bool
) -> Standing:
    item, parts = _item(policy, who)
    allowed = await (limiter.hit if count else limiter.test)(item, *parts)
    stats = await limiter.get_window_stats(item, *parts)
    reset_s = max(1, math.ceil(stats.reset_time - time.time()))
    return Standing(policy, allowed, stats.remaining if allowed else 0, reset_s)
