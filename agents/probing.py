"""Whether the stores answer: looked at again and again, told at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from infra.telemetry.metrics import STORE_UP
from infra.weaviate import VectorIndex
from schemas.problems import GaveUpError, MisconfiguredError, StoreUnavailableError

_log = structlog.get_logger(__name__)

#: Seconds between two looks at a store.
INTERVAL_S: Final = 5.0
#: A store that takes longer to answer, in seconds, has a problem until it does.
_ANSWER_WITHIN_S: Final = 5.0

#: Returns when the store answers; raises ``StoreUnavailableError`` when it does not.
Probe = Callable[[], Awaitable[None]]


class Probing:
    """Knows what the last look at each store found: to ask it takes no time, whatever a store does."""

    def __init__(self) -> None:
        #: What is wrong, by store; empty when all answer.
        self.problems: dict[str, str] = {}

    async def watch(self, store: str, probe: Probe) -> None:
        """Look at a store until cancelled. Raises what is no answer of the store."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(INTERVAL_S)
            # The look itself goes on: to cut it off would break the connection that it uses.
            late = f"no answer within {_ANSWER_WITHIN_S:g} s"
            handle = loop.call_later(_ANSWER_WITHIN_S, self._note, store, late)
            try:
                await probe()
            except StoreUnavailableError as error:
                # To know where to look may take another store: if that is down, nothing is known of this one.
                self._note(error.component, str(error))
            except MisconfiguredError as error:
                self._note(store, str(error))
            except GaveUpError:
                raise  # the worker's own end: the store has answered
            except Exception as error:
                self._note(store, repr(error))
                raise
            else:
                _tell(store, up=True)
                if self.problems.pop(store, None) is not None:
                    _log.info("a store answers again", store=store)
            finally:
                handle.cancel()

    def _note(self, store: str, problem: str) -> None:
        if store not in self.problems:
            _log.warning("a store does not answer", store=store, problem=problem)
        self.problems[store] = problem
        _tell(store, up=False)


def _tell(store: str, *, up: bool) -> None:
    """To the metrics, which know a store from the first look on: before it there is nothing to tell."""
    STORE_UP.labels(store.lower()).set(up)  # by the name that the gateway's have


class IndexProbe:
    """Asks the collection that serves. Postgres knows which one that is: it is asked only when need be."""

    def __init__(self, serving: Callable[[], Awaitable[VectorIndex]]) -> None:
        self._serving = serving
        self._index: VectorIndex | None = None

    async def __call__(self) -> None:
        if self._index is not None and await self._index.is_ready():
            return
        self._index = await self._serving()
        if not await self._index.is_ready():
            raise StoreUnavailableError("Weaviate", "a search would not be answered")
