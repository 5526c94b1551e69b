"""A scope: whose memory it is. Its key orders requests on Kafka."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

#: The ids a scope may have, in the order in which the first present one names the record key.
ENTITY_FIELDS: Final = ("user_id", "agent_id", "app_id", "run_id")


@dataclass(frozen=True, slots=True)
class Scope:
    """The project and the entities that a memory belongs to. It never changes in a memory's life."""

    project: str
    user_id: str | None = None
    agent_id: str | None = None
    app_id: str | None = None
    run_id: str | None = None

    @property
    def ids(self) -> dict[str, str]:
        """The entity ids that are present, by field name."""
        return {field: value for field in ENTITY_FIELDS if (value := getattr(self, field)) is not None}

    @property
    def key(self) -> str:
        """The record key: ``<project>/<kind>:<id>``, percent-encoded, by the first id present.

        A scope without any id (an update that names only its memory) has the project alone as key.
        """
        project = quote(self.project, safe="")
        for field, value in self.ids.items():
            return f"{project}/{field.removesuffix('_id')}:{quote(value, safe='')}"
        return project

    def covers(self, other: Scope) -> bool:
        """Whether every id named here is the other's too, in the same project."""
        return self.project == other.project and all(
            getattr(other, field) == value for field, value in self.ids.items()
        )
