"""What is posted to a webhook."""

from __future__ import annotations

from typing import Any, Final

from schemas.events import EventType
from schemas.inbound import InboundEvent

#: mem0's words, for receivers that were written for mem0's webhooks.
_MEM0_WORDS: Final = {EventType.ADDED: "ADD", EventType.UPDATED: "UPDATE", EventType.DELETED: "DELETE"}


def payload(event: InboundEvent) -> str:
    """The event's document, with what mem0's webhooks say when a memory changed."""
    memory = event.body.memory
    if memory is None or event.type not in _MEM0_WORDS:
        return event.document
    details: dict[str, Any] = {
        "id": str(memory.id),
        "data": {"memory": memory.text},
        "event": _MEM0_WORDS[event.type],
    }
    return event.structured(event_details=details)
