"""Webhooks: events of a project that are posted to an address of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Final
from uuid import UUID

from schemas.events import EventType
from schemas.inbound import InboundEvent
from schemas.times import parse_instant

_CHANGES: Final = {"add": EventType.ADDED, "update": EventType.UPDATED, "delete": EventType.DELETED}

#: What a webhook may be told of, by every name it goes by: mem0's two spellings, ours in full and its last word.
EVENT_NAMES: Final[Mapping[str, EventType]] = MappingProxyType(
    {f"memory_{word}": kind for word, kind in _CHANGES.items()}
    | {f"memory:{word}": kind for word, kind in _CHANGES.items()}
    | {kind.value: kind for kind in EventType}
    | {kind.value.rpartition(".")[2]: kind for kind in EventType}
)
#: What it is told of unless it says something else.
DEFAULT_EVENTS: Final = tuple(f"memory_{word}" for word in _CHANGES)


class DeliveryStatus(StrEnum):
    """How far a delivery has come."""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"  # given up


@dataclass(frozen=True, slots=True)
class Webhook:
    """An address and what it is told: events of these names (see ``EVENT_NAMES``) and of all these entity ids.

    ``failing_since`` is the time of the first failure after the last success. One that failed for too long has
    been made inactive, and ``disabled_reason`` says so.
    """

    id: UUID
    project: str
    name: str
    url: str
    event_types: tuple[str, ...]
    secret: str = field(repr=False)
    is_active: bool
    created_at: datetime
    updated_at: datetime
    ids: Mapping[str, str] = field(default_factory=dict)
    disabled_reason: str | None = None
    failing_since: datetime | None = None
    #: Those before the present one, newest first, each with the end of its grace time.
    previous_secrets: tuple[tuple[str, datetime], ...] = field(default=(), repr=False)

    @property
    def secrets(self) -> list[str]:
        """What posts are signed with: the secret, and those before it that are still good."""
        now = datetime.now(UTC)
        return [self.secret, *(secret for secret, until in self.previous_secrets if until > now)]

    def wants(self, event: InboundEvent) -> bool:
        """Whether it is to be told of this event: only of those since it was made."""
        return (
            event.body.project == self.project
            and event.type in {EVENT_NAMES[name] for name in self.event_types}
            and self.ids.items() <= event.ids.items()
            and parse_instant(event.time) >= self.created_at
        )


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event on its way to one webhook. ``body``: what is to be posted, for who does.

    ``request_id`` and ``request_index`` say which event of which request it is; ``redelivery`` counts how often
    it was asked for again.
    """

    id: int
    webhook_id: UUID
    event_id: str
    event_type: str
    status: DeliveryStatus
    attempts: int
    created_at: datetime
    updated_at: datetime
    next_attempt_at: datetime
    body: bytes | None = field(default=None, repr=False)
    response_status: int | None = None
    error: str | None = None
    request_id: str | None = None
    request_index: int | None = None
    redelivery: int = 0
