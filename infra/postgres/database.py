"""Postgres, the truth: one object with all that the rest of AgentMem asks of it.

Every method blocks; call them on a thread. Each raises ``StoreUnavailableError`` when the database is down or
busy, ``BatchRejectedError`` when it refuses the data for good and ``MisconfiguredError`` when the set-up is
wrong.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection, text

from infra.postgres import keys, reads
from infra.postgres.engine import make_engine
from infra.postgres.errors import translated
from infra.postgres.keys import ApiKey
from infra.postgres.settings import PostgresSettings
from infra.postgres.writes import Transaction
from schemas.history import HistoryEntry, RequestOutcome, RequestStatus
from schemas.memories import Memory
from schemas.problems import DeadLetterReason, RecordRejectedError
from schemas.requests import MemoryRequest
from schemas.scope import Scope


class Database:
    """A pool of connections to Postgres. Making one does not connect; ``close`` gives all connections back."""

    def __init__(self, settings: PostgresSettings) -> None:
        self._engine = make_engine(settings)

    def close(self) -> None:
        self._engine.dispose()

    @contextmanager
    def _connection(self) -> Iterator[Connection]:
        with translated(), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """A transaction of the pipeline: committed at the end, rolled back on any exception."""
        with self._connection() as connection:
            yield Transaction(connection)

    def ping(self) -> None:
        """Return when the database answers."""
        with self._connection() as connection:
            connection.execute(text("SELECT 1"))

    def now(self) -> datetime:
        """The database's clock."""
        with self.transaction() as transaction:
            return transaction.now()

    # What stands now, for the projection.

    def current(self, ids: Iterable[UUID]) -> dict[UUID, Memory]:
        """The rows of these memories as they stand, deleted ones too."""
        with self._connection() as connection:
            return reads.current(connection, ids)

    def versions(self, ids: Iterable[UUID]) -> dict[UUID, int]:
        """The version of each of these memories, deleted ones too."""
        with self._connection() as connection:
            return reads.versions(connection, ids)

    def changed_between(
        self, after: datetime, until: datetime, last: UUID | None = None, limit: int = 1000
    ) -> list[Memory]:
        """A page of the memories changed in ``(after, until]``, ordered by id, from behind ``last``."""
        with self._connection() as connection:
            return reads.changed_between(connection, after, until, last, limit)

    # What a project may see.

    def memory(self, project: str, id: UUID, show_expired: bool = False) -> Memory | None:
        """One live memory of the project."""
        return self.memories(project, [id], show_expired).get(id)

    def memories(self, project: str, ids: Iterable[UUID], show_expired: bool = False) -> dict[UUID, Memory]:
        """Those of these memories that are the project's and live."""
        with self._connection() as connection:
            return reads.live(connection, project, ids, show_expired)

    def list_memories(
        self, scope: Scope, limit: int, offset: int = 0, show_expired: bool = False
    ) -> tuple[int, list[Memory]]:
        """How many live memories the scope has, and a page of them, newest first."""
        with self._connection() as connection:
            return reads.listed(connection, scope, limit, offset, show_expired)

    def history(self, project: str, memory_id: UUID) -> list[HistoryEntry]:
        """Every version of a memory, oldest first; empty when the project has no such memory."""
        with self._connection() as connection:
            return reads.history(connection, project, memory_id)

    def request_history(
        self, project: str, request_id: str, after: int = -1, limit: int = 1000
    ) -> list[HistoryEntry]:
        """What a request changed, ordered by ``index``, a page from behind index ``after``."""
        with self._connection() as connection:
            return reads.request_history(connection, project, request_id, after, limit)

    def outcome(self, project: str, request_id: str) -> RequestOutcome | None:
        """What became of a request; None when nobody knows it."""
        with self._connection() as connection:
            return reads.outcome(connection, project, request_id)

    # Accepting requests and knocking at the door.

    def accept(self, request: MemoryRequest) -> RequestOutcome:
        """Note a request before it is published, so that its status is true from the first moment.

        Returns what stands: the new ``accepted`` row, or what became of the same request earlier. Raises
        ``RecordRejectedError`` when the id was used for another request.
        """
        with self.transaction() as transaction:
            outcome = RequestOutcome(
                request_id=request.request_id,
                scope=request.scope,
                op=request.op,
                hash=request.content_hash(),
                status=RequestStatus.ACCEPTED,
                recorded_at=transaction.now(),
                infer=request.infer,
                memory_id=request.memory_id,
            )
            stands = transaction.lock_request(outcome, request.canonical())
        if stands.hash != outcome.hash:
            raise RecordRejectedError(
                DeadLetterReason.REQUEST_ID_CONFLICT,
                f"request_id {request.request_id} was used for another request of project {request.project}",
            )
        return stands

    def claim_accepted(self, before: datetime, limit: int = 500) -> list[MemoryRequest]:
        """Requests accepted before that time whose record never arrived, to be published again."""
        with self.transaction() as transaction:
            payloads = transaction.claim_accepted(before, limit)
        return [MemoryRequest.model_validate(payload) for payload in payloads]

    def create_project(self, project: str) -> None:
        """Make the project unless it is there."""
        with self._connection() as connection:
            keys.create_project(connection, project)

    def create_api_key(self, project: str, name: str) -> str:
        """Make the project if need be and a key for it; returns the token, which cannot be read again."""
        with self._connection() as connection:
            keys.create_project(connection, project)
            return keys.create_api_key(connection, project, name)

    def api_key(self, token: str) -> ApiKey | None:
        """The key of this token, unless it is unknown, expired or revoked."""
        with self._connection() as connection:
            return keys.find_api_key(connection, token)
