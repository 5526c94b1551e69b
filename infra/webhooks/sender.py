"""Posting to webhooks."""

from __future__ import annotations

import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

import aiohttp
import structlog

from infra.webhooks.addresses import ForbiddenAddressError, check_url, public_socket
from infra.webhooks.settings import WebhookSettings
from infra.webhooks.signing import signed_headers

_log = structlog.get_logger(__name__)

_GONE: Final = 410


@dataclass(frozen=True, slots=True)
class Answer:
    """How a post went: the receiver's status, if it answered, and what was wrong, if something was."""

    status: int | None = None
    error: str | None = None

    @property
    def is_gone(self) -> bool:
        """Whether the receiver says that it wants nothing any more."""
        return self.status == _GONE


class Sender:
    """Posts signed events. Follows no redirects, sends no cookies, uses no proxy."""

    def __init__(self, settings: WebhookSettings) -> None:
        self._settings = settings
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        guard = None if self._settings.allow_private else public_socket
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, socket_factory=guard),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=self._settings.timeout_s),
            headers={"User-Agent": "AgentMem-Webhooks"},
            auto_decompress=False,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._session is not None
        await self._session.close()

    async def post(self, url: str, secrets: Sequence[str], id: str, body: bytes) -> Answer:
        """Post one event; every way in which that can fail is an answer too."""
        assert self._session is not None
        headers = signed_headers(secrets, id, int(time.time()), body) | {"Content-Type": "application/json"}
        try:
            check_url(url, allow_private=self._settings.allow_private)
            async with self._session.post(url, data=body, headers=headers, allow_redirects=False) as response:
                error = None if 200 <= response.status < 300 else f"the receiver answered {response.status}"
                return Answer(response.status, error)
        except TimeoutError:
            return Answer(error=f"no answer within {self._settings.timeout_s:g} s")
        except aiohttp.ClientConnectorError as error:
            nowhere = isinstance(error.os_error, ForbiddenAddressError | socket.gaierror)
            if nowhere and not self._settings.allow_private:
                # Whoever made the webhook learns nothing of the names of our network.
                _log.info("a webhook has no public address", host=error.host, problem=str(error.os_error))
                return Answer(error="no public address was found")
            return Answer(error=f"no connection: {error.os_error}")
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return Answer(error=f"{type(error).__name__}: {error}")
