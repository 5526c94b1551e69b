"""Callers without a good credential: limited by their address, before anything is looked up for them."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from typing import Final

from aiohttp import web

from gateway.http.addresses import caller_address
from gateway.http.ratelimit import STANDINGS, RateLimiter, Standing, refuse
from gateway.settings_limits import LimitSettings

_KNOWN_MAX: Final = 10_000


class Strangers:
    """Counts failures by address; an address with too many is refused for a while.

    A credential that was good here lately is not held up by what others do from its address: many may share one.
    """

    def __init__(self, settings: LimitSettings, limiter: RateLimiter) -> None:
        self._settings = settings
        self._limiter = limiter
        self._known: OrderedDict[bytes, None] = OrderedDict()

    async def admit(self, request: web.Request, credential: str | None) -> None:
        """Return when this credential may be looked at; raises a 429."""
        if credential is None or _digest(credential) not in self._known:
            _refuse(request, await self._limiter.look_at_stranger(self._address(request)))

    async def failed(self, request: web.Request, credential: str | None) -> None:
        """Count a credential that was missing or wrong; raises a 429 when it was one too many."""
        if credential is not None:
            self._known.pop(_digest(credential), None)
        _refuse(request, await self._limiter.count_stranger(self._address(request)))

    def passed(self, credential: str) -> None:
        """Remember a good credential."""
        digest = _digest(credential)
        self._known[digest] = None
        self._known.move_to_end(digest)
        if len(self._known) > _KNOWN_MAX:
            self._known.popitem(last=False)

    def _address(self, request: web.Request) -> str:
        forwarded = ",".join(request.headers.getall("X-Forwarded-For", []))
        return caller_address(request.remote, forwarded, self._settings.trusted_proxies)


def _refuse(request: web.Request, standings: list[Standing]) -> None:
    request[STANDINGS] = standings
    refuse(standings)


def _digest(credential: str) -> bytes:
    # Not the credential itself: who reads this process's memory should not find them all in one place.
    return hashlib.sha256(credential.encode()).digest()
