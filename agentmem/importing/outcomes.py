"""What became of the requests of an import, counted."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from schemas.events import EventType
from schemas.requests import DEFAULT_PROJECT

#: Failures that are told one by one.
MAX_TOLD: Final = 20


@dataclass(slots=True)
class Outcomes:
    """Requests that wait for their events, and the counts of those that have them."""

    #: Records that Kafka acknowledged.
    published: int = 0
    succeeded: int = 0
    unchanged: int = 0
    failed: int = 0
    #: The first failures, as sentences.
    failures: list[str] = field(default_factory=list)
    #: Requests that are not answered yet, by project and id, with the indices of the events that came.
    pending: dict[tuple[str, str], set[int]] = field(default_factory=dict)

    @property
    def answered(self) -> int:
        """Requests that are answered."""
        return self.succeeded + self.unchanged + self.failed

    def event(self, body: dict[str, Any], kind: str) -> None:
        """An event has come; one that comes again counts once."""
        key = body["project"], body["request_id"]
        if (indices := self.pending.get(key)) is None:
            return
        indices.add(body["index"])
        if len(indices) < body["count"]:
            return
        del self.pending[key]
        if kind == EventType.FAILED:
            self._fail(key[1], ": ".join(filter(None, (body["reason"], body["detail"]))))
        elif kind == EventType.UNCHANGED:
            self.unchanged += 1
        else:
            self.succeeded += 1

    def dead_lettered(self, request: dict[str, Any], reason: str) -> None:
        """A record was set aside; ``request`` is what it held."""
        key = request.get("project", DEFAULT_PROJECT), request["request_id"]
        if self.pending.pop(key, None) is not None:
            self._fail(key[1], reason)

    def _fail(self, request_id: str, reason: str) -> None:
        self.failed += 1
        if len(self.failures) < MAX_TOLD:
            self.failures.append(f"request {request_id}: {reason}")
