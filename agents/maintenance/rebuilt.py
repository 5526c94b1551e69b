"""What a rebuild tells of itself: while it runs, at its end, and in the audit, which knows a finished one."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from infra.postgres import Database
from infra.postgres.audit import AuditEntry

_SUBJECT: Final = "rebuild"


class Phase(StrEnum):
    """What the rebuild is doing."""

    FILLING = "filling"
    CATCHING_UP = "catching up"
    RETIRING = "waiting before the old collection is dropped"
    WAITING = "waiting for a store"


@dataclass
class Rebuilt:
    """What was done. ``refused`` are memories whose own vector does not fit the model: no search finds them.

    ``built_before``: by a command that was interrupted after the switch; only the clearing up was left.
    ``rows``: how many there were to be filled in, deleted ones too, when it began or went on.
    """

    collection: str = ""
    built_before: bool = False
    rows: int = 0
    filled: int = 0
    caught_up: int = 0
    switched: bool = False
    refused: list[UUID] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)


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
