"""Which rebuild is finished, by the audit: what is written down of one, and how it is asked for."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Final

from infra.postgres import Database
from infra.postgres.audit import AuditEntry

_SUBJECT: Final = "rebuild"


class Step(StrEnum):
    """What happens to a collection. All but the last are written down in the transaction that does it."""

    START = "rebuild.start"
    SWITCH = "rebuild.switch"
    DROP = "rebuild.drop"
    #: The command has told its result: what comes after is another rebuild.
    FINISH = "rebuild.finish"


def rebuild_entry(step: Step, collection: str, who: str, **detail: Any) -> AuditEntry:
    """What the audit keeps of a step: which collections, of which models, and how many memories."""
    return AuditEntry(None, step, _subject(collection), detail, who)


def is_unfinished(database: Database, collection: str) -> bool:
    """Whether a command let this collection serve and did not come to its end."""
    steps = {entry.action for entry in database.audit.of([_subject(collection)])}
    return Step.SWITCH in steps and Step.FINISH not in steps


def _subject(collection: str) -> str:
    return f"{_SUBJECT}/{collection}"
