"""Which model made a vector: vectors of different identities must never be compared."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ModelIdentity:
    """An embedding model as it is recorded with the index it fills; the same on every machine.

    ``revision`` is the pinned commit of a hub model, or ``sha256:`` and a hash of the files of a local one.
    """

    model: str
    revision: str
    variant: str
    dimension: int

    def __str__(self) -> str:
        return f"{self.model} at {self.revision} ({self.variant}, {self.dimension} dimensions)"
