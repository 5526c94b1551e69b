"""Which ids have an outcome that nobody knows."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final
from uuid import UUID

MAX_DOUBTFUL: Final = 100_000


class DoubtfulIds:
    """Remembers ids from before a write until it is known to be complete.

    Bounded: the oldest are forgotten first. Those belong to batches that were given up here, and whoever
    takes such a batch over asks for its verification.
    """

    def __init__(self) -> None:
        self._ids: dict[UUID, None] = {}

    def __contains__(self, uuid: UUID) -> bool:
        return uuid in self._ids

    def add(self, ids: Iterable[UUID]) -> None:
        self._ids |= dict.fromkeys(ids)
        while len(self._ids) > MAX_DOUBTFUL:
            del self._ids[next(iter(self._ids))]

    def settle(self, ids: Iterable[UUID]) -> None:
        for uuid in ids:
            self._ids.pop(uuid, None)
