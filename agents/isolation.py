"""Finding the record that spoils a batch: what fails for a lasting reason is split until one stands alone."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeVar

from agents.waiting import RevokedError
from schemas.problems import (
    BatchRejectedError,
    DeadLetterReason,
    GaveUpError,
    MisconfiguredError,
    RecordRejectedError,
    StoreUnavailableError,
)

T = TypeVar("T")

#: Lone records that may fail for an unknown reason, one after the other, before the fault is held to be ours.
_LONE_FAILURES: Final = 3


class SystemicError(GaveUpError):
    """Every record fails for an unexpected reason: the fault is not theirs. Stop, and commit nothing."""


class Isolation:
    """Splits failing batches of one stage, and tells faulty records from a faulty system."""

    def __init__(self, stage: str) -> None:
        self._stage = stage
        self._lone_failures = 0

    async def run(
        self, items: Sequence[T], work: Callable[[Sequence[T]], Awaitable[None]]
    ) -> list[tuple[T, RecordRejectedError]]:
        """Do the work on all items, in order; returns those at fault, each with the reason.

        ``work`` is called again with parts of the batch after it failed, so it must be harmless to repeat.
        Raises ``SystemicError`` when every item fails unexpectedly.
        """
        failures = await self._split(items, work) if items else []
        unexpected = [error for _, error in failures if _is_unexpected(error)]
        if unexpected and len(unexpected) == len(items):
            self._lone_failures += 1
            if len(items) > 1 or self._lone_failures >= _LONE_FAILURES:
                raise SystemicError(
                    f"every record fails in stage {self._stage}: {unexpected[0]!r}. Nothing of this batch was "
                    "committed; mend the cause and start the worker again."
                ) from unexpected[0]
        elif items:
            self._lone_failures = 0
        return [(item, _as_rejection(error)) for item, error in failures]

    async def _split(
        self, items: Sequence[T], work: Callable[[Sequence[T]], Awaitable[None]]
    ) -> list[tuple[T, Exception]]:
        try:
            await work(items)
        except (RevokedError, MisconfiguredError, StoreUnavailableError):
            raise
        except Exception as error:  # noqa: BLE001  # whatever it is, it is reported with the record
            if len(items) == 1:
                return [(items[0], error)]
            middle = len(items) // 2
            return [*await self._split(items[:middle], work), *await self._split(items[middle:], work)]
        return []


def _is_unexpected(error: Exception) -> bool:
    return not isinstance(error, RecordRejectedError | BatchRejectedError)


def _as_rejection(error: Exception) -> RecordRejectedError:
    if isinstance(error, RecordRejectedError):
        return error
    if isinstance(error, BatchRejectedError):
        return RecordRejectedError(DeadLetterReason.REJECTED_BY_STORE, str(error))
    rejection = RecordRejectedError(DeadLetterReason.UNEXPECTED_ERROR, repr(error))
    # For the log, where the dead letter has its line.
    rejection.__cause__ = error
    return rejection
