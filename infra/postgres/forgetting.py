"""Taking the contents of a scope's deleted memories out of every table that holds them, in bounded chunks.

The rows stay: their identity is what keeps a repeated request from storing its contents again. Each method blocks
and raises what ``Database``'s methods do.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final
from uuid import UUID

import orjson
from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    Table,
    Text,
    and_,
    case,
    cast,
    delete,
    func,
    not_,
    null,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB

from infra.postgres import audit
from infra.postgres.audit import AuditEntry
from infra.postgres.engine import Connect, lift_limits, lift_statement_limit
from infra.postgres.locks import lock_project
from infra.postgres.tables import memories, memory_feedback, memory_history, requests, webhook_deliveries
from infra.postgres.webhook_log import REDACTION
from schemas.history import RequestStatus
from schemas.redaction import REDACTED, REDACTED_ROLE, redact_event
from schemas.scope import Scope

#: Memories, or rows of another table, changed in one transaction.
CHUNK: Final = 1_000
_ACCEPTED: Final = RequestStatus.ACCEPTED.value
_OPEN: Final = (_ACCEPTED, RequestStatus.RUNNING.value)
_REDACTED: Final[dict[str, Any]] = {"text": REDACTED, "role": REDACTED_ROLE, "name": None, "metadata": {}}


class Forgetting:
    """On the database's connections. Only what belongs to deleted memories is taken away."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect

    def begin(self, project: str, entry: AuditEntry) -> None:
        """Write down that it begins, when what others send of the project's past has been sent."""
        with self._unhurried() as connection:
            lock_project(connection, REDACTION, project)
            audit.record(connection, entry)

    def live(self, scope: Scope) -> int:
        """How many memories of the scope are not deleted."""
        return self._count(memories, _in_scope(memories, scope), memories.c.deleted_at.is_(None))

    def accepted(self, scope: Scope) -> int:
        """How many requests of the scope, or about its memories, a gateway has accepted and nobody applied yet."""
        return self._count(requests, requests.c.status == _ACCEPTED, _requests_of(scope))

    def ids(self, scope: Scope) -> Generator[list[UUID], None, None]:
        """The ids of all memories that the scope ever had, a page at a time, out of one snapshot."""
        statement = _ids_of(scope).distinct().order_by(memory_history.c.memory_id)
        with self._connect() as connection:
            lift_limits(connection)  # a page is redacted before the next is asked for
            streaming = {"stream_results": True, "max_row_buffer": CHUNK}
            for page in connection.execute(statement, execution_options=streaming).scalars().partitions(CHUNK):
                yield list(page)

    def remaining(self, scope: Scope) -> dict[str, int]:
        """By table, how many rows hold contents of the scope, live memories and their history included."""
        feedback = memory_feedback.c.memory_id.in_(_ids_of(scope))
        return {
            "memories": self._count(memories, _in_scope(memories, scope), not_(_memory_is_clean())),
            "memory_history": self._count(
                memory_history, _in_scope(memory_history, scope), not_(_history_is_clean())
            ),
            "requests": self._count(requests, _requests_of(scope), _request_holds()),
            "memory_feedback": self._count(memory_feedback, memory_feedback.c.project == scope.project, feedback),
            "webhook_deliveries": self._count(webhook_deliveries, _deliveries_of(scope)),
        }

    def redact(self, project: str, ids: Sequence[UUID]) -> dict[str, int]:
        """Those of these memories that are deleted; by table, how many rows were changed."""
        with self._connect(project) as connection:
            mine = (memories.c.project == project, memories.c.id.in_(ids), memories.c.deleted_at.is_not(None))
            locked = select(memories.c.id).where(*mine).order_by(memories.c.id).with_for_update()
            gone = list(connection.execute(locked).scalars())
            return {
                "memories": _redact_memories(connection, gone),
                "memory_history": _redact_history(connection, gone),
                "memory_feedback": connection.execute(
                    delete(memory_feedback).where(memory_feedback.c.memory_id.in_(gone))
                ).rowcount,
            }

    def redact_requests(self, scope: Scope) -> dict[str, int]:
        """One chunk of what requests and the webhooks' queue hold, as :meth:`redact`. Again until it is 0."""
        with self._unhurried() as connection:
            lock_project(connection, REDACTION, scope.project)
            return {
                "requests": _redact_requests(connection, scope),
                "webhook_deliveries": _redact_deliveries(connection, scope),
            }

    def _count(self, table: Table, *conditions: ColumnElement[bool]) -> int:
        with self._unhurried() as connection:
            statement = select(func.count()).select_from(table).where(*conditions)
            count: int = connection.execute(statement).scalar_one()
            return count

    @contextmanager
    def _unhurried(self) -> Iterator[Connection]:
        # There is no index for what a person seldom asks for: in a large database it takes its time.
        with self._connect() as connection:
            lift_statement_limit(connection)
            yield connection


def _redact_memories(connection: Connection, gone: Sequence[UUID]) -> int:
    values: dict[str, Any] = {**_REDACTED, "vector": None}
    found = (memories.c.id.in_(gone), not_(_memory_is_clean()))
    return connection.execute(update(memories).where(*found).values(values)).rowcount


def _redact_history(connection: Connection, gone: Sequence[UUID]) -> int:
    table = memory_history.c
    values: dict[str, Any] = {
        **_REDACTED,
        "previous_text": _unless_null(table.previous_text, REDACTED),
        "previous_metadata": _unless_null(table.previous_metadata, func.json_build_object()),
    }
    found = (table.memory_id.in_(gone), not_(_history_is_clean()))
    return connection.execute(update(memory_history).where(*found).values(values)).rowcount


def _redact_requests(connection: Connection, scope: Scope) -> int:
    chunk = (
        select(requests.c.request_id)
        .where(_requests_of(scope), _request_holds(), requests.c.status.not_in(_OPEN))
        .order_by(requests.c.request_id)
        .limit(CHUNK)
        .with_for_update()
    )
    statement = update(requests).where(requests.c.project == scope.project, requests.c.request_id.in_(chunk))
    return connection.execute(statement.values(detail=None, payload=null())).rowcount


def _redact_deliveries(connection: Connection, scope: Scope) -> int:
    """Receivers are still told what happened, so that they can forget it too."""
    table = webhook_deliveries.c
    chunk = select(table.id).where(_deliveries_of(scope)).order_by(table.id).limit(CHUNK)
    found = connection.execute(chunk.with_for_update()).scalars().all()
    for id in found:
        # One at a time: they may be large.
        document = orjson.loads(connection.execute(select(table.body).where(table.id == id)).scalar_one())
        redact_event(document)
        statement = update(webhook_deliveries).where(table.id == id)
        connection.execute(statement.values(body=orjson.dumps(document).decode()))
    return len(found)


def _in_scope(table: Table, scope: Scope) -> ColumnElement[bool]:
    return and_(table.c.project == scope.project, *(table.c[field] == value for field, value in scope.ids.items()))


def _ids_of(scope: Scope) -> Select[UUID]:
    return select(memory_history.c.memory_id).where(_in_scope(memory_history, scope))


def _requests_of(scope: Scope) -> ColumnElement[bool]:
    named = and_(requests.c.project == scope.project, requests.c.memory_id.in_(_ids_of(scope)))
    return or_(_in_scope(requests, scope), named)


def _deliveries_of(scope: Scope) -> ColumnElement[bool]:
    """Those whose body holds something: of a memory of the scope, or of a request about it that failed."""
    table = webhook_deliveries.c
    data = cast(table.body, JSONB)["data"]
    memory = data["memory"]
    of_memory = and_(
        *(memory[field].astext == value for field, value in scope.ids.items()), memory["text"].astext != REDACTED
    )
    failed = select(requests.c.request_id).where(_requests_of(scope))
    of_request = and_(data["detail"].astext.is_not(None), data["request_id"].astext.in_(failed))
    return and_(table.project == scope.project, table.body.is_not(None), or_(of_memory, of_request))


def _is_redacted(table: Table) -> ColumnElement[bool]:
    """Whether a row is as ``_REDACTED`` makes it."""
    return and_(
        table.c.text == REDACTED,
        table.c.role == REDACTED_ROLE,
        table.c.name.is_(None),
        cast(table.c.metadata, Text) == "{}",
    )


def _memory_is_clean() -> ColumnElement[bool]:
    return and_(_is_redacted(memories), memories.c.vector.is_(None))


def _history_is_clean() -> ColumnElement[bool]:
    table = memory_history.c
    return and_(
        _is_redacted(memory_history),
        func.coalesce(table.previous_text, REDACTED) == REDACTED,
        func.coalesce(cast(table.previous_metadata, Text), "{}").in_(["{}", "null"]),
    )


def _request_holds() -> ColumnElement[bool]:
    return or_(requests.c.detail.is_not(None), func.coalesce(cast(requests.c.payload, Text), "null") != "null")


def _unless_null(column: ColumnElement[Any], value: Any) -> ColumnElement[Any]:
    return case((column.is_(None), column), else_=value)
