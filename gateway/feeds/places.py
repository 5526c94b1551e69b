"""Places for streams: so many in the gateway, and for one project no more than its share of them."""

from __future__ import annotations

from collections import Counter

from prometheus_client import Gauge


class Places:
    """The places of one kind of stream. ``gauge`` shows how many are taken."""

    def __init__(self, gauge: Gauge) -> None:
        self._gauge = gauge
        self._taken: Counter[str] = Counter()

    def shortage(self, project: str, most: int, share: float) -> str | None:
        """Why there is no place for the project, if so: ``most`` are taken, or its ``share`` of them."""
        own = max(1, int(most * share))
        if self._taken[project] >= own:
            return f"your project has {own}, which is as many as one project may have"
        if self._taken.total() >= most:
            return f"there are {most} of all projects, which is as many as this gateway takes"
        return None

    def take(self, project: str) -> None:
        """A place less."""
        self._taken[project] += 1
        self._gauge.set(self._taken.total())

    def free(self, project: str) -> None:
        """Give the place of ``take`` back."""
        self._taken[project] -= 1
        if not self._taken[project]:
            del self._taken[project]
        self._gauge.set(self._taken.total())
