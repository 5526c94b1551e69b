"""A memory as it stands, and what is embedded of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from schemas.scope import Scope


@dataclass(frozen=True, slots=True)
class Memory:
    """The current state of one memory: a row of ``memories``. Times are UTC; ``version`` counts from 1."""

    id: UUID
    scope: Scope
    text: str
    version: int
    created_at: datetime
    updated_at: datetime
    role: str = "user"
    name: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    expires_at: datetime | None = None
    deleted_at: datetime | None = None
    #: The caller's own unit vector, if one came with the text.
    vector: list[float] | None = None

    @property
    def embedding_text(self) -> str:
        """What is embedded: who said it belongs to what was said. A pure function of the row."""
        return embedding_text(self.text, self.name)


@dataclass(frozen=True, slots=True)
class Standing:
    """What the index is to say of a memory: its row without its contents."""

    id: UUID
    scope: Scope
    version: int
    deleted_at: datetime | None = None
    #: As in :class:`Memory`.
    vector: list[float] | None = None


def embedding_text(text: str, name: str | None) -> str:
    """The text given to the model: ``Name: text``, or the text alone when nobody is named."""
    return f"{name}: {text}" if name else text
