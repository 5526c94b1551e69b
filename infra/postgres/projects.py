"""What a project has set, and what its callers think of its memories. Each method blocks, as ``Database``'s do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert

from infra.postgres.engine import Connect
from infra.postgres.tables import memory_feedback, project_settings


class Projects:
    """Settings and feedback of one project, on the database's connections."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect

    def settings(self, project: str) -> dict[str, Any]:
        """What has been set, by name."""
        statement = select(project_settings.c.settings).where(project_settings.c.project == project)
        with self._connect(project) as connection:
            return connection.execute(statement).scalar_one_or_none() or {}

    def set(self, project: str, changes: Mapping[str, Any]) -> dict[str, Any]:
        """Set some, leave the others; returns all."""
        new = insert(project_settings).values(project=project, settings=dict(changes), updated_at=func.now())
        statement = new.on_conflict_do_update(
            index_elements=[project_settings.c.project],
            set_={
                "settings": project_settings.c.settings.concat(new.excluded.settings),
                "updated_at": new.excluded.updated_at,
            },
        ).returning(project_settings.c.settings)
        with self._connect(project) as connection:
            settings: dict[str, Any] = connection.execute(statement).scalar_one()
            return settings

    def give_feedback(self, project: str, id: UUID, feedback: str | None, reason: str | None) -> None:
        """Note what a caller thinks of a memory, in place of what was noted before; None takes it back."""
        values = {"feedback": feedback, "reason": reason, "recorded_at": func.now()}
        new = insert(memory_feedback).values(project=project, memory_id=id, **values)
        with self._connect(project) as connection:
            if feedback is None:
                table = memory_feedback.c
                connection.execute(delete(memory_feedback).where(table.project == project, table.memory_id == id))
            else:
                connection.execute(new.on_conflict_do_update(index_elements=["memory_id"], set_=values))
