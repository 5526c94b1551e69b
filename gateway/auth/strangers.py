"""Callers without a good credential: limited by their address, before anything is looked up for them."""

from __future__ import annotations

import hashlib
import logging
from collections import OrderedDict
from typing import Final

from aiohttp import web

from gateway.auth.authenticator import Authenticator
from gateway.http.addresses import caller_address, is_trusted
from gateway.http.ratelimit import STANDINGS, RateLimiter, Standing, refuse
from gateway.settings_limits import LimitSettings

log = logging.getLogger(__name__)

_REMEMBERED_MAX: Final = 10_000


class Strangers:
    """Counts failures by address; an address with too many is refused for a while.

    A credential that was good here lately is not held up by what others do from its address: many may share one.
    Nor is a token with a good signature, which needs no store to be told from a guess, until it was refused once.
    """

    def __init__(self, settings: LimitSettings, limiter: RateLimiter, authenticator: Authenticator) -> None:
        self._settings = settings
        self._limiter = limiter
        self._authenticator = authenticator
        self._warned = False
        self._known: OrderedDict[bytes, None] = OrderedDict()
        self._wrong: OrderedDict[bytes, None] = OrderedDict()

    async def admit(self, request: web.Request, credential: str | None) -> None:
        """Return when this credential may be looked at; raises a 429."""
        if credential is not None and _digest(credential) in self._known:
            return
        standings = await self._limiter.look_at_stranger(self._address(request))
        if all(standing.allowed for standing in standings):
            request[STANDINGS] = standings
        elif credential is None or not await self._is_signed(credential):
            _refuse(request, standings)

    async def failed(self, request: web.Request, credential: str | None) -> None:
        """Count a credential that was missing or wrong; raises a 429 when it was one too many."""
        if credential is not None:
            self._known.pop(_digest(credential), None)
            _remember(self._wrong, credential)
        _refuse(request, await self._limiter.count_stranger(self._address(request)))

    def passed(self, credential: str) -> None:
        """Remember a good credential."""
        _remember(self._known, credential)

    async def _is_signed(self, credential: str) -> bool:
        return _digest(credential) not in self._wrong and await self._authenticator.is_signed(credential)

    def _address(self, request: web.Request) -> str:
        forwarded = ",".join(request.headers.getall("X-Forwarded-For", []))
        trusted = self._settings.trusted_proxies
        if forwarded and not self._warned and not is_trusted(request.remote, trusted):
            self._warned = True
            log.warning(
                "%s sends X-Forwarded-For and is not believed: if it is your proxy, name it in "
                "gateway.trusted_proxies, or all callers behind it are counted as one",
                request.remote,
            )
        return caller_address(request.remote, forwarded, trusted)


def _refuse(request: web.Request, standings: list[Standing]) -> None:
    request[STANDINGS] = standings
    refuse(standings)


def _remember(digests: OrderedDict[bytes, None], credential: str) -> None:
    digest = _digest(credential)
    digests[digest] = None
    digests.move_to_end(digest)
    if len(digests) > _REMEMBERED_MAX:
        digests.popitem(last=False)


def _digest(credential: str) -> bytes:
    # Not the credential itself: who reads this process's memory should not find them all in one place.
    return hashlib.sha256(credential.encode()).digest()
