"""What can go wrong, by name: dead-letter reasons, failures of a request, and the errors between layers."""

from __future__ import annotations

from enum import StrEnum
from uuid import UUID


class DeadLetterReason(StrEnum):
    """Why a record was set aside. Sent in the dead letter's headers; the stage is sent beside it."""

    NULL_VALUE = "null_value"
    TOO_LARGE = "too_large"
    INVALID_UTF8 = "invalid_utf8"
    INVALID_JSON = "invalid_json"
    INVALID_TEXT = "invalid_text"  # U+0000 or a lone surrogate
    INVALID_SCHEMA = "invalid_schema"
    UNSUPPORTED_SCHEMA_VERSION = "unsupported_schema_version"
    INVALID_VECTOR = "invalid_vector"
    REQUEST_ID_CONFLICT = "request_id_conflict"
    REJECTED_BY_STORE = "rejected_by_store"
    UNEXPECTED_ERROR = "unexpected_error"


class FailureReason(StrEnum):
    """Why a well-formed request changed nothing: the ``reason`` of an ``agentmem.request.failed`` event."""

    NOT_FOUND = "not_found"
    VERSION_CONFLICT = "version_conflict"


class StoreUnavailableError(Exception):
    """A store is down, slow or out of resources: wait and try the same work again."""

    def __init__(self, component: str, detail: str) -> None:
        super().__init__(f"{component} is unavailable: {detail}")
        self.component = component
        self.detail = detail


class RecordRejectedError(Exception):
    """One record is at fault and always will be: it belongs in the dead-letter topic."""

    def __init__(self, reason: DeadLetterReason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class BatchRejectedError(Exception):
    """A store refuses this batch for good: at least one of its records is at fault, split it to find out."""


class StalledError(Exception):
    """What was waited for makes no progress, and somebody should look why."""


class GaveUpError(Exception):
    """A worker ends by itself, as going on would do no good; the message says why, and what to do."""


class MisconfiguredError(Exception):
    """Going on would do harm (wrong schema, wrong model, wrong settings): stop and say what to do."""


class TooManyError(Exception):
    """There are as many as there may be."""


class NotKeptError(Exception):
    """What was asked for is no longer kept."""


class AlreadyMadeError(Exception):
    """Something with this id is there already: the call that made it came before."""

    def __init__(self, id: UUID) -> None:
        super().__init__(str(id))
        self.id = id
