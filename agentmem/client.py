"""The gateway as the commands call it: every failure is one sentence that says what to do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import urlsplit

import aiohttp
import orjson
from yarl import URL

from agentmem.exit_codes import CommandError, ExitCode
from agentmem.settings import Settings

_CONNECT_S: Final = 5.0
_CALL_S: Final = 60.0
#: An event is one line of a stream, as large as a record of the event topic can be, and escaped.
_LINE_BYTES: Final = 8 * 1024 * 1024

_CODES: Final = {
    400: ExitCode.USAGE,
    401: ExitCode.MISCONFIGURED,
    403: ExitCode.MISCONFIGURED,
    429: ExitCode.UNAVAILABLE,
    502: ExitCode.UNAVAILABLE,
    503: ExitCode.UNAVAILABLE,
    504: ExitCode.UNAVAILABLE,
}


class GatewayClient:
    """A session with the gateway that the settings name. Use as ``async with``."""

    def __init__(self, settings: Settings) -> None:
        if settings.api_key is None:
            raise CommandError(
                "no API key is set: set AGENTMEM_API_KEY, or run this in the folder of a running stack",
                ExitCode.USAGE,
            )
        self._url = settings.url.rstrip("/")
        self._headers = {"Authorization": f"Token {settings.api_key.get_secret_value()}"}

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(headers=self._headers, read_bufsize=_LINE_BYTES)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """The JSON that the gateway answers. Raises ``CommandError``."""
        timeout = aiohttp.ClientTimeout(total=_CALL_S, connect=_CONNECT_S)
        async with self._request(method, path, timeout, json=body) as response:
            try:
                return orjson.loads(await response.read())
            except orjson.JSONDecodeError as error:
                raise self._stranger() from error

    @asynccontextmanager
    async def stream(
        self, path: str, params: Mapping[str, str], headers: Mapping[str, str], silence_s: float
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """The lines of an endless answer; ``silence_s`` without one counts as a lost connection."""
        timeout = aiohttp.ClientTimeout(total=None, connect=_CONNECT_S, sock_read=silence_s)
        async with self._request("GET", path, timeout, params=params, headers=headers) as response:
            if response.content_type != "text/event-stream":
                raise self._stranger()
            yield _lines(response.content, silence_s)

    @asynccontextmanager
    async def _request(
        self, method: str, path: str, timeout: aiohttp.ClientTimeout, **options: Any
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        # The path is already percent-encoded: an id may hold a slash.
        url = URL(self._url + path, encoded=True)
        try:
            async with self._session.request(method, url, timeout=timeout, **options) as response:
                if not response.ok:
                    raise await self._refusal(response)
                yield response
        except TimeoutError as error:
            raise CommandError(
                f"the gateway at {self._where} does not answer in time", ExitCode.UNAVAILABLE
            ) from error
        except (aiohttp.ClientConnectorError, aiohttp.ServerDisconnectedError, ConnectionError) as error:
            raise CommandError(
                f"no gateway answers at {self._where}: start one with 'agentmem stack up' or 'agentmem gateway', "
                "or set AGENTMEM_URL",
                ExitCode.UNAVAILABLE,
            ) from error
        except aiohttp.ClientPayloadError as error:
            raise CommandError(
                f"the gateway at {self._where} ended the connection", ExitCode.UNAVAILABLE
            ) from error
        except aiohttp.ClientError as error:
            raise self._stranger() from error

    async def _refusal(self, response: aiohttp.ClientResponse) -> CommandError:
        try:
            document = orjson.loads(await response.read())
        except orjson.JSONDecodeError:
            document = None
        if not isinstance(document, dict) or not isinstance(detail := document.get("detail"), str):
            return self._stranger(f"; it answers {response.status} {response.reason}")
        if response.status == 401:
            return CommandError(
                f"the gateway at {self._where} refuses the API key: set AGENTMEM_API_KEY to one of its own",
                ExitCode.MISCONFIGURED,
            )
        return CommandError(
            f"the gateway says: {detail} ({response.status})", _CODES.get(response.status, ExitCode.FAILED)
        )

    def _stranger(self, hint: str = "") -> CommandError:
        return CommandError(
            f"what answers at {self._where} is not an AgentMem gateway{hint}: set AGENTMEM_URL",
            ExitCode.MISCONFIGURED,
        )

    @property
    def _where(self) -> str:
        # Without credentials, should the address hold some.
        parts = urlsplit(self._url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


async def _lines(content: aiohttp.StreamReader, silence_s: float) -> AsyncIterator[bytes]:
    while True:
        # aiohttp's own timeout is gone when it stumbles over what it reads, and its reader waits for ever.
        async with asyncio.timeout(silence_s):
            line = await content.readline()
        if not line:
            return
        yield line
