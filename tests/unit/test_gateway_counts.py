"""What a gateway counts alone: bounded, and without a look at everybody for each call."""

from __future__ import annotations

import asyncio

import pytest

from gateway.auth.caller import Caller
from gateway.http import ratelimit
from gateway.http.counts import Counts
from gateway.http.ratelimit import RateLimiter
from gateway.settings import GatewaySettings

LIMITS = GatewaySettings(rate_address=1, rate_key=2, rate_window_s=86_400)


async def allowed(limiter: RateLimiter, address: str) -> bool:
    [standing] = await limiter.count_stranger(address)
    return standing.allowed


async def test_a_count_leaves_no_work_behind() -> None:
    limiter = RateLimiter(LIMITS)
    for number in range(5):
        await limiter.count_stranger(f"198.51.100.{number}")
        await limiter.count(Caller("ours", "x", frozenset(), f"key:{number}"))
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_strangers_beyond_the_bound_share_their_wider_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ratelimit, "_ADDRESSES_MAX", 100)
    limiter = RateLimiter(LIMITS)
    for number in range(100):
        assert await allowed(limiter, f"10.0.0.{number}")
    assert await allowed(limiter, "203.0.113.1")
    assert not await allowed(limiter, "203.0.7.2")
    assert await allowed(limiter, "198.51.100.1")
    assert await allowed(limiter, "2001:db8:1:2::/64")
    assert not await allowed(limiter, "2001:db8:9:9::/64")
    # Who was counted before goes on being counted alone, and callers with a key as ever.
    assert not await allowed(limiter, "10.0.0.7")
    caller = Caller("ours", "x", frozenset(), "key:1")
    allowances = [[standing.allowed for standing in await limiter.count(caller)] for _ in range(3)]
    assert allowances == [[True, True], [True, True], [False]]


async def test_what_ended_is_forgotten() -> None:
    counts = Counts()
    await counts.incr("ended", 0.0)
    async with asyncio.timeout(30):
        while "ended" in counts.storage:
            await counts.incr("other", 60.0)
            await asyncio.sleep(0.05)
    assert await counts.get("other") >= 1
