"""Which scopes were forgotten, by the audit: what is written down of a forget, and how it is asked for."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from infra.postgres import Database
from infra.postgres.audit import AuditEntry
from schemas.scope import Scope

FORGET: Final = "forget"
START: Final = "forget.start"


def forget_entry(action: str, scope: Scope, who: str, **numbers: int) -> AuditEntry:
    """What the audit keeps of a forget: whose memories, and how many of what; nothing that they held."""
    detail = {"scope": scope.ids, **numbers}
    return AuditEntry(scope.project, action, _subject(scope.project), detail, who)


def is_forgotten(database: Database, scope: Scope, since: datetime) -> bool:
    """Whether a scope that covers this one was forgotten after a moment, or that was begun."""
    return any(
        entry.recorded_at is not None
        and entry.recorded_at > since
        and Scope(scope.project, **entry.detail["scope"]).covers(scope)
        for entry in database.audit.of([_subject(scope.project)])
    )


def _subject(project: str) -> str:
    return f"{FORGET}/{project}"
