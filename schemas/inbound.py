"""Events as they are read back from Kafka."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import unquote

import orjson

from schemas.events import EventBody, EventType
from schemas.scope import ENTITY_FIELDS


@dataclass(frozen=True)
class InboundEvent:
    """One record of ``memory-events``: its CloudEvents attributes, its body, and whose it is."""

    id: str
    type: EventType
    time: str
    source: str
    subject: str | None
    body: EventBody
    value: bytes
    key: bytes

    @cached_property
    def ids(self) -> dict[str, str]:
        """The entity ids of the scope. An event without a memory has the one that its record key names."""
        if self.body.memory is not None:
            return {f: v for f in ENTITY_FIELDS if (v := getattr(self.body.memory, f)) is not None}
        _, _, entity = self.key.decode(errors="replace").partition("/")
        kind, _, value = entity.partition(":")
        return {f"{kind}_id": unquote(value)} if value else {}

    @cached_property
    def document(self) -> str:
        """The event as one line of JSON, in the structured mode of CloudEvents. Made once for all readers."""
        return self.structured()

    def structured(self, **more: Any) -> str:
        """The document with further members."""
        return orjson.dumps(
            {
                "specversion": "1.0",
                "id": self.id,
                "type": self.type.value,
                "source": self.source,
                "subject": self.subject,
                "time": self.time,
                "datacontenttype": "application/json",
                "data": orjson.Fragment(self.value),
                **more,
            }
        ).decode()


def decode_event(
    key: bytes | None, value: bytes | None, headers: Sequence[tuple[str, bytes | None]]
) -> InboundEvent:
    """The event in a record; raises ``ValueError`` if it is none of ours."""
    attributes = {name: (data or b"").decode() for name, data in headers if name.startswith("ce_")}
    try:
        return InboundEvent(
            id=attributes["ce_id"],
            type=EventType(attributes["ce_type"]),
            time=attributes["ce_time"],
            source=attributes["ce_source"],
            subject=attributes.get("ce_subject"),
            body=EventBody.model_validate_json(value or b""),
            value=value or b"",
            key=key or b"",
        )
    except KeyError as error:
        raise ValueError(f"the header {error} is missing") from error
