"""Waiting out a store that is down: the same work again, until it succeeds or its partitions are gone."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import structlog
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_random_exponential

from infra.telemetry.metrics import STAGE_SECONDS, STORE_RETRIES
from schemas.problems import StoreUnavailableError

_log = structlog.get_logger(__name__)

#: Seconds between two tries, at most: after the first, and in the long run.
_FIRST_WAIT_S: Final = 0.1
_LONGEST_WAIT_S: Final = 5.0

T = TypeVar("T")


class RevokedError(Exception):
    """The batch's partitions were taken away: drop it, nothing of it was committed."""


class Waiting:
    """Waits for stores, and knows which it waits for at the moment."""

    def __init__(self) -> None:
        #: What is wrong, by the stage that waits; empty when nobody does.
        self.problems: dict[str, str] = {}
        #: Pieces of work done so far: a long batch makes many before it is committed.
        self.steps = 0

    async def out(self, stage: str, work: Callable[[], Awaitable[T]], check: Callable[[], None]) -> T:
        """Do the work; while a store is unavailable, wait and do it again, however long that takes.

        ``check`` is called before each try and raises ``RevokedError`` when there is no point any more. Other
        exceptions of the work pass through.
        """

        def report(state: RetryCallState) -> None:
            problem = str(state.outcome.exception()) if state.outcome else ""
            # The first problem may be a mere effect, such as a broken connection; its cause comes next.
            log = _log.debug if problem == self.problems.get(stage) else _log.warning
            self.problems[stage] = problem
            STORE_RETRIES.labels(stage).inc()
            log("waiting for a store", stage=stage, problem=problem, attempt=state.attempt_number)

        try:
            with STAGE_SECONDS.labels(stage).time():
                async for attempt in AsyncRetrying(
                    retry=retry_if_exception_type(StoreUnavailableError),
                    wait=wait_random_exponential(multiplier=_FIRST_WAIT_S, max=_LONGEST_WAIT_S),
                    before_sleep=report,
                ):
                    with attempt:
                        check()
                        result = await work()
                        self.steps += 1
                        if stage in self.problems:
                            seconds = round(attempt.retry_state.seconds_since_start or 0.0, 1)
                            _log.warning("the store is back", stage=stage, seconds=seconds)
        finally:
            self.problems.pop(stage, None)
        return result
