"""Between rows and the schemas' types, and writing many rows at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import orjson
from sqlalchemy import Row, Table
from sqlalchemy.dialects import postgresql

from schemas.history import Change, ChangeKind, HistoryEntry, RequestOutcome, RequestStatus
from schemas.memories import Memory, Standing
from schemas.problems import DeadLetterReason, FailureReason
from schemas.scope import Scope
from schemas.vectors import float32

_FAILURES = frozenset(FailureReason)
#: What one statement takes, in bytes, if it is more than one row. On its way it lies in memory several times.
_STATEMENT_BYTES: Final = 1024 * 1024


def scope_of(row: Row[Any]) -> Scope:
    return Scope(row.project, row.user_id, row.agent_id, row.app_id, row.run_id)


def memory_of(row: Row[Any]) -> Memory:
    """The memory in a row of ``memories``, or of ``memory_history``, which has no vector."""
    columns = row._mapping
    vector = columns.get("vector")
    return Memory(
        id=columns.get("memory_id") or row.id,
        scope=scope_of(row),
        text=row.text,
        version=row.version,
        created_at=row.created_at,
        updated_at=row.updated_at,
        role=row.role,
        name=row.name,
        metadata=row.metadata,
        expires_at=row.expires_at,
        deleted_at=row.deleted_at,
        vector=None if vector is None else float32(vector),
    )


def standing_of(row: Row[Any]) -> Standing:
    vector = row.vector
    return Standing(
        row.id, scope_of(row), row.version, row.deleted_at, None if vector is None else float32(vector)
    )


def change_of(row: Row[Any]) -> Change:
    return Change(ChangeKind(row.kind), row.memory_id, row.text)


def entry_of(row: Row[Any]) -> HistoryEntry:
    """The entry in a row of ``memory_history``; the metadata before the change, if it was read."""
    columns = row._mapping
    return HistoryEntry(
        kind=ChangeKind(row.kind),
        memory=memory_of(row),
        previous_text=row.previous_text,
        previous_metadata=columns.get("previous_metadata"),
        request_id=row.request_id,
        index=columns["index"],
        recorded_at=row.recorded_at,
    )


def outcome_of(row: Row[Any]) -> RequestOutcome:
    reason = row.reason
    return RequestOutcome(
        request_id=row.request_id,
        scope=scope_of(row),
        op=row.op,
        hash=row.hash,
        status=RequestStatus(row.status),
        recorded_at=row.recorded_at,
        changes=row.changes,
        infer=row.infer,
        memory_id=row.memory_id,
        reason=None if reason is None else _reason(reason),
        detail=row.detail,
    )


def _reason(value: str) -> FailureReason | DeadLetterReason:
    return FailureReason(value) if value in _FAILURES else DeadLetterReason(value)


def _state_row(memory: Memory) -> dict[str, Any]:
    scope = memory.scope
    return {
        "version": memory.version,
        "project": scope.project,
        "user_id": scope.user_id,
        "agent_id": scope.agent_id,
        "app_id": scope.app_id,
        "run_id": scope.run_id,
        "text": memory.text,
        "role": memory.role,
        "name": memory.name,
        "metadata": memory.metadata,
        "created_at": memory.created_at,
        "updated_at": memory.updated_at,
        "expires_at": memory.expires_at,
        "deleted_at": memory.deleted_at,
    }


def memory_row(memory: Memory) -> dict[str, Any]:
    """A row of ``memories``, less ``changed_at``, which the database's clock gives."""
    return {"id": memory.id, "vector": memory.vector, **_state_row(memory)}


def history_row(entry: HistoryEntry) -> dict[str, Any]:
    """A row of ``memory_history``."""
    return {
        "memory_id": entry.memory.id,
        **_state_row(entry.memory),
        "kind": entry.kind,
        "previous_text": entry.previous_text,
        "previous_metadata": entry.previous_metadata,
        "request_id": entry.request_id,
        "index": entry.index,
        "recorded_at": entry.recorded_at,
    }


def request_row(outcome: RequestOutcome, payload: dict[str, Any] | None = None) -> dict[str, Any]:
    """A row of ``requests``."""
    scope = outcome.scope
    return {
        "project": scope.project,
        "user_id": scope.user_id,
        "agent_id": scope.agent_id,
        "app_id": scope.app_id,
        "run_id": scope.run_id,
        "request_id": outcome.request_id,
        "op": outcome.op,
        "hash": outcome.hash,
        "status": outcome.status,
        "changes": outcome.changes,
        "infer": outcome.infer,
        "memory_id": outcome.memory_id,
        "reason": outcome.reason,
        "detail": outcome.detail,
        "payload": payload,
        "recorded_at": outcome.recorded_at,
    }


def insertion(table: Table, parameter: str, condition: str = "true", *, clock: str | None = None) -> str:
    """An INSERT of all rows in a JSON parameter, if the condition holds; an ON CONFLICT clause may follow it.

    The rows travel as one JSON value: one parameter to bind however many rows and columns there are, which
    costs several times less on both sides than a parameter for each value. ``clock`` names the column that gets
    the time of the insertion.
    """
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    given = {f'"{c.name}"': c.type.compile(dialect) for c in table.columns if c.name != clock}
    names, values = [*given], [*given]
    if clock is not None:
        names.append(f'"{clock}"')
        values.append("clock_timestamp()")
    return (
        f'INSERT INTO "{table.name}" ({", ".join(names)}) SELECT {", ".join(values)} '  # noqa: S608  # our own names
        f"FROM json_to_recordset(CAST(:{parameter} AS json)) "
        f"AS r({', '.join(f'{name} {type}' for name, type in given.items())}) WHERE {condition} "
    )


def as_json(rows: Sequence[dict[str, Any]]) -> str:
    """Rows as the parameter of an ``insertion``."""
    return orjson.dumps(rows).decode()


def as_json_parts(rows: Iterable[dict[str, Any]]) -> Iterator[str]:
    """Rows as parameters of ``insertion``, of a bounded size each; at least one, and each made when asked for."""
    part: list[bytes] = []
    size = 0
    for row in rows:
        data = orjson.dumps(row)
        if part and size + len(data) > _STATEMENT_BYTES:
            yield f"[{b','.join(part).decode()}]"
            part, size = [], 0
        part.append(data)
        size += len(data)
    yield f"[{b','.join(part).decode()}]"


def overwrite(columns: Iterable[str]) -> str:
    """The SET list of an ON CONFLICT clause that takes the new values of these columns."""
    return ", ".join(f'"{name}" = excluded."{name}"' for name in columns)
