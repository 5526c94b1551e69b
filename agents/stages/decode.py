"""decode: bytes become a validated request, or a reason why not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final, NoReturn

import orjson
from pydantic import ValidationError

from schemas.problems import DeadLetterReason, RecordRejectedError
from schemas.requests import SCHEMA_VERSION, MemoryRequest
from schemas.sizes import oversize
from streams.records import Record

#: How many times its bytes a JSON number may take when it is written in full.
_NUMBERS_GROW: Final = 6


class TooMuchError(RecordRejectedError):
    """A record that was read, and whose request would take too much to store."""

    def __init__(self, request: MemoryRequest, detail: str) -> None:
        super().__init__(DeadLetterReason.TOO_LARGE, detail)
        self.request = request


def decode(record: Record, max_bytes: int) -> MemoryRequest:
    """The request in a record's value; raises ``RecordRejectedError`` with the reason when there is none.

    Raises ``TooMuchError``, which is one of these, when there is one that must not be stored.
    """
    value = record.value
    if value is None:
        _reject(DeadLetterReason.NULL_VALUE, "the record has no value")
    if len(value) > max_bytes:
        _reject(DeadLetterReason.TOO_LARGE, f"the value has {len(value)} bytes, the limit is {max_bytes}")
    try:
        value.decode()
    except UnicodeDecodeError as error:
        _reject(DeadLetterReason.INVALID_UTF8, str(error))
    document = _parse(value)
    if b"\\u0000" in value and any("\0" in text for text in _texts(document)):
        _reject(DeadLetterReason.INVALID_TEXT, "a text holds U+0000, which Postgres cannot store")
    if not isinstance(document, dict):
        _reject(DeadLetterReason.INVALID_SCHEMA, "the value is not a JSON object")
    version = document.get("schema_version", SCHEMA_VERSION)
    if isinstance(version, int) and version > SCHEMA_VERSION:
        detail = f"schema_version {version} is newer than {SCHEMA_VERSION}, the newest known here"
        _reject(DeadLetterReason.UNSUPPORTED_SCHEMA_VERSION, detail)
    try:
        request = MemoryRequest.model_validate(document)
    except ValidationError as error:
        _reject(DeadLetterReason.INVALID_SCHEMA, describe(error))
    # Written in full, a number such as 1e15 takes several times its bytes; only metadata can hold so many.
    if len(value) * _NUMBERS_GROW > max_bytes and len(orjson.dumps(request.metadata)) > max_bytes:
        raise TooMuchError(request, f"the metadata, written in full, exceeds {max_bytes} bytes")
    if problem := oversize(request):
        raise TooMuchError(request, problem)
    return request


def describe(error: ValidationError) -> str:
    """What is wrong with which field, without the values: they may be private."""
    problems = error.errors(include_url=False, include_context=False, include_input=False)
    return "; ".join(
        f"{'.'.join(map(str, problem['loc'])) or 'request'}: {problem['msg']}" for problem in problems
    )


def _parse(value: bytes) -> Any:
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError as error:
        problem = str(error)
    try:
        # orjson refuses lone surrogates; Python's parser reads them, and so tells them from broken JSON.
        document = json.loads(value)
    except (ValueError, RecursionError):
        document = None
    if any("\ud800" <= letter <= "\udfff" for text in _texts(document) for letter in text):
        raise RecordRejectedError(DeadLetterReason.INVALID_TEXT, f"a text holds half a surrogate pair: {problem}")
    raise RecordRejectedError(DeadLetterReason.INVALID_JSON, problem)


def _texts(document: Any) -> Iterator[str]:
    """Every string of a JSON document, keys too."""
    # A stack of our own: the document may be nested deeper than Python's.
    pending = [document]
    while pending:
        part = pending.pop()
        if isinstance(part, str):
            yield part
        elif isinstance(part, dict):
            yield from part
            pending += part.values()
        elif isinstance(part, list):
            pending += part


def _reject(reason: DeadLetterReason, detail: str) -> NoReturn:
    raise RecordRejectedError(reason, detail)
