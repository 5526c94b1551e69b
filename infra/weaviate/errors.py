"""What an error of the Weaviate client means for the work in hand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import httpx
from grpc import StatusCode  # type: ignore[import-untyped]
from grpc.aio import AioRpcError  # type: ignore[import-untyped]
from weaviate.exceptions import (
    AuthenticationFailedError,
    InsufficientPermissionsError,
    UnexpectedStatusCodeError,
    WeaviateBaseError,
    WeaviateClosedClientError,
    WeaviateConnectionError,
    WeaviateGRPCUnavailableError,
    WeaviateRetryError,
    WeaviateStartUpError,
    WeaviateTimeoutError,
)

from schemas.problems import BatchRejectedError, MisconfiguredError, StoreUnavailableError

COMPONENT: Final = "Weaviate"

_DOWN: Final = (
    httpx.TransportError,
    WeaviateClosedClientError,
    WeaviateConnectionError,
    WeaviateGRPCUnavailableError,
    WeaviateRetryError,
    WeaviateStartUpError,
    WeaviateTimeoutError,
)
_DENIED: Final = (AuthenticationFailedError, InsufficientPermissionsError)
_DOWN_CODES: Final = {
    StatusCode.UNAVAILABLE,
    StatusCode.DEADLINE_EXCEEDED,
    StatusCode.CANCELLED,
    StatusCode.ABORTED,
    StatusCode.RESOURCE_EXHAUSTED,
}
_DENIED_CODES: Final = {StatusCode.UNAUTHENTICATED, StatusCode.PERMISSION_DENIED}
# Weaviate reports most failures without a code of their own. Only these speak of the data; any other one, known or
# not, is taken for its own state: to wait is harmless, to set good records aside is not.
_DATA_DETAILS: Final = ("vector with length", "vector lengths", "dimension", "invalid")
# These do not, though they may hold such a word: a fault that was caught (an "invalid memory address"), a damaged
# file (an "invalid checksum"), a disk that fails ("add dimension tracking").
_FAULT_DETAILS: Final = ("panic", "runtime error", "unexpected error", "checksum", "dimension tracking")
# A collection can be missing while the index is being rebuilt, or for good after the data was lost.
_MISSING_DETAILS: Final = ("could not find class", "not present in schema")


@asynccontextmanager
async def translated(timeout_s: float, doing: str) -> AsyncIterator[None]:
    """Bound what happens inside in time, and raise its errors as ours.

    ``StoreUnavailableError`` when Weaviate is down, slow or out of resources, ``MisconfiguredError`` when it
    denies access, ``BatchRejectedError`` when it refuses what was sent for good.
    """
    try:
        async with asyncio.timeout(timeout_s):
            yield
    except TimeoutError as error:
        raise StoreUnavailableError(COMPONENT, f"{doing} took longer than {timeout_s:g} s") from error
    except (WeaviateBaseError, httpx.HTTPError, AioRpcError) as error:
        raise _translate(error, doing) from error


def refusal(detail: str, doing: str) -> StoreUnavailableError | BatchRejectedError:
    """The error for a message in which Weaviate says why it did not do something."""
    lowered = detail.lower()
    if any(part in lowered for part in _MISSING_DETAILS):
        return StoreUnavailableError(
            COMPONENT, f"{doing}: the collection is missing ({detail}). Restart a worker to make it, then rebuild."
        )
    if any(part in lowered for part in _DATA_DETAILS) and not any(part in lowered for part in _FAULT_DETAILS):
        return BatchRejectedError(f"Weaviate refuses {doing}: {detail}")
    return StoreUnavailableError(COMPONENT, f"{doing}: {detail}")


def _translate(error: Exception, doing: str) -> Exception:
    call = _rpc_error(error)
    code = call.code() if call else None
    status = error.status_code if isinstance(error, UnexpectedStatusCodeError) else 0
    if isinstance(error, _DENIED) or code in _DENIED_CODES or status in (401, 403):
        return MisconfiguredError(
            f"Weaviate denies access ({doing}): check the API key in the setting weaviate.api_key."
        )
    detail = str((call and call.details()) or error)
    if isinstance(error, _DOWN) or code in _DOWN_CODES or status in (408, 429) or status >= 500:
        return StoreUnavailableError(COMPONENT, f"{doing}: {detail}")
    return refusal(detail, doing)


def _rpc_error(error: BaseException | None) -> AioRpcError | None:
    # The client keeps only the text of most gRPC errors; the code is on the error it was handling.
    while error is not None and not isinstance(error, AioRpcError):
        error = error.__cause__ or error.__context__
    return error
