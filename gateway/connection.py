"""Connecting in the background: the gateway starts without its components and finds them when they come."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_random_exponential

from schemas.problems import StoreUnavailableError

log = logging.getLogger(__name__)


class Connection:
    """Opens a component, again and again until it succeeds. ``probe`` is asked only after that."""

    def __init__(
        self, component: str, open: Callable[[], Awaitable[None]], probe: Callable[[], Awaitable[None]]
    ) -> None:
        self._component = component
        self._open = open
        self._probe = probe
        self._opened = False

    async def run(self) -> None:
        """Return when open. Raises ``MisconfiguredError`` when trying again would not help."""
        async for attempt in AsyncRetrying(
            retry=retry_if_exception_type(StoreUnavailableError),
            wait=wait_random_exponential(multiplier=0.2, max=5),
            before_sleep=self._log,
        ):
            with attempt:
                await self._open()
        self._opened = True

    async def probe(self) -> None:
        """Return when the component answers; raises ``StoreUnavailableError`` when it does not."""
        if not self._opened:
            raise StoreUnavailableError(self._component, "not connected yet")
        await self._probe()

    def _log(self, state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        log.warning("cannot connect, trying again: %s", error)
