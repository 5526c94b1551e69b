"""Postgres, the truth: one object with all that the rest of AgentMem asks of it.

Every method blocks; call them on a thread. Each raises ``StoreUnavailableError`` when the database is down or
busy, ``BatchRejectedError`` when it refuses the data for good and ``MisconfiguredError`` when the set-up is
wrong.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from infra.postgres import following, reads
from infra.postgres.audit import Audit
from infra.postgres.browsing import Browsing
from infra.postgres.collections import Collections, SearchCollection, collections_of
from infra.postgres.credentials import Credentials
from infra.postgres.engine import make_engine
from infra.postgres.errors import translated
from infra.postgres.expiring import Expiring
from infra.postgres.exporting import Exporting
from infra.postgres.forgetting import Forgetting
from infra.postgres.keys import DEFAULT_SCOPES, ApiKey
from infra.postgres.open_connections import OpenConnections
from infra.postgres.projects import Projects
from infra.postgres.reopening import Reopening
from infra.postgres.replaying import Replaying
from infra.postgres.settings import PostgresSettings
from infra.postgres.webhook_log import WebhookLog
from infra.postgres.webhook_queue import WebhookQueue
from infra.postgres.webhooks import Webhooks
from infra.postgres.weighing import held
from infra.postgres.writes import Accepted, Transaction
from schemas.filters import Filter
from schemas.history import HistoryEntry, RequestKey, RequestOutcome
from schemas.memories import Memory, Standing
from schemas.requests import MemoryRequest
from schemas.scope import Scope

# Both are always set: what an earlier transaction of this connection saw must not show through.
_SEE: Final = text(
    "SELECT set_config('agentmem.project', :project, true), set_config('agentmem.key_hash', :key_hash, true)"
)


class Database:
    """A pool of connections to Postgres. Making one does not connect; ``close`` gives all connections back.

    ``walled``: it works as the gateway's role, which sees the rows of one project in a transaction, whatever a
    query says. Each method that is about a project names it; the others then find nothing.
    ``retries``: the caller does again what failed as the store was away, so connections need not be tried first.
    """

    def __init__(self, settings: PostgresSettings, *, walled: bool = False, retries: bool = False) -> None:
        self._walled = walled
        role = settings.gateway_role if walled else None
        self._engine = make_engine(settings, role=role, pre_ping=not retries)
        self._open_connections = OpenConnections(self._engine)
        self._autocommit = self._engine.execution_options(isolation_level="AUTOCOMMIT")
        self.audit = Audit(self._connection)
        self.credentials = Credentials(self._connection)
        self.browsing = Browsing(self._connection)
        self.collections = Collections(self._connection)
        self.expiring = Expiring(self._connection)
        self.exporting = Exporting(self._connection)
        self.forgetting = Forgetting(self._connection)
        self.projects = Projects(self._connection)
        self.replaying = Replaying(self._connection)
        self.reopening = Reopening(self._connection)
        self.webhooks = Webhooks(self._connection)
        self.webhook_log = WebhookLog(self._connection)
        self.webhook_queue = WebhookQueue(self._connection)

    def close(self) -> None:
        """Give all connections back; what a thread still waits for is given up."""
        self._engine.dispose()
        self._open_connections.hang_up()

    @contextmanager
    def _connection(self, project: str = "", *, key_hash: str = "") -> Iterator[Connection]:
        with translated(), self._engine.begin() as connection:
            if self._walled:
                connection.execute(_SEE, {"project": project, "key_hash": key_hash})
            yield connection

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        """For reads of all projects, with nothing to commit.

        Not in autocommit: a connection that breaks as it is set back from that is one that the pool has lost.
        """
        with translated(), self._engine.connect() as connection:
            yield connection

    @contextmanager
    def transaction(self, project: str = "") -> Iterator[Transaction]:
        """A transaction of the pipeline: committed at the end, rolled back on any exception."""
        with self._connection(project) as connection:
            yield Transaction(connection)

    def ping(self) -> None:
        """Return when the database answers."""
        with self._connection() as connection:
            connection.execute(text("SELECT 1"))

    @contextmanager
    def exclusively(self, what: str) -> Iterator[bool]:
        """Whether nobody else does this at the same time; it ends with the block, or with this process."""
        key = {"key": f"agentmem {what}"}
        with translated(), self._autocommit.connect() as connection:
            got = connection.execute(text("SELECT pg_try_advisory_lock(hashtextextended(:key, 0))"), key)
            try:
                yield bool(got.scalar_one())
            finally:
                try:
                    connection.execute(text("SELECT pg_advisory_unlock_all()"))
                except DBAPIError:
                    # A dead session holds no lock any more, and what was done is done: so it ends here.
                    connection.invalidate()

    def now(self) -> datetime:
        """The database's clock."""
        with self.transaction() as transaction:
            return transaction.now()

    # What stands now, for the projection.

    def current(self, ids: Iterable[UUID]) -> dict[UUID, Memory]:
        """The rows of these memories as they stand, deleted ones too."""
        with self._reading() as connection:
            return reads.current(connection, ids)

    def held(self, named: Mapping[RequestKey, UUID]) -> dict[RequestKey, int]:
        """How many bytes of texts and metadata are to be held for requests, each of which names a memory.

        Those of the memory, and of its change if the request was applied before.
        """
        with self._reading() as connection:
            return held(connection, named)

    def standing(self, ids: Iterable[UUID]) -> dict[UUID, Standing]:
        """:meth:`current`, without their contents."""
        with self._reading() as connection:
            return following.standing(connection, ids)

    def to_project(self, ids: Iterable[UUID], base: str) -> tuple[dict[UUID, Memory], list[SearchCollection]]:
        """The first of these memories by their ids, as far as they fit, deleted ones too; at least one, if any.

        They have no metadata, and only such texts as are to be embedded. With them come the collections of an
        index as they were known after these rows.
        """
        with self._reading() as connection:
            return following.projected(connection, ids), collections_of(connection, base)

    def versions(self, ids: Iterable[UUID]) -> dict[UUID, int]:
        """The version of each of these memories, deleted ones too."""
        with self._reading() as connection:
            return following.versions(connection, ids)

    def changed_between(
        self, after: datetime, until: datetime, last: UUID | None = None, limit: int = 1000
    ) -> dict[UUID, int | None]:
        """The versions of a page of the memories changed in ``(after, until]``, by id, from behind ``last``.

        That of a deleted one is None.
        """
        with self._connection() as connection:
            return following.changed_between(connection, after, until, last, limit)

    def ids_after(
        self, last: UUID | None, limit: int, project: str | None = None, *, deleted: bool = False
    ) -> list[UUID]:
        """A page of the ids of memories, those that are ``deleted`` too if asked for, in their order."""
        with self._connection() as connection:
            return following.ids_after(connection, last, limit, project, deleted)

    def count_after(self, last: UUID | None, project: str | None = None, *, deleted: bool = False) -> int:
        """How many of them there are, for whoever watches."""
        with self._connection() as connection:
            return following.count_after(connection, last, project, deleted)

    def moment(self) -> tuple[datetime, str]:
        """The database's clock, and a mark for :meth:`settled`."""
        with self._connection() as connection:
            return following.moment(connection)

    def settled(self, mark: str) -> bool:
        """Whether every transaction that had written anything at that moment has ended."""
        with self._connection() as connection:
            return following.settled(connection, mark)

    # What a project may see.

    def memory(self, project: str, id: UUID, show_expired: bool = False) -> Memory | None:
        """One live memory of the project."""
        return self.memories(project, [id], show_expired).get(id)

    def memories(self, project: str, ids: Iterable[UUID], show_expired: bool = False) -> dict[UUID, Memory]:
        """Those of these memories that are the project's and live."""
        with self._connection(project) as connection:
            return reads.live(connection, project, ids, show_expired)

    def list_memories(
        self,
        scope: Scope,
        limit: int,
        offset: int = 0,
        show_expired: bool = False,
        where: Filter | None = None,
        as_of: datetime | None = None,
    ) -> tuple[int, list[Memory]]:
        """How many live memories of the scope a filter holds for, and a page of them, newest first.

        ``as_of`` asks for what stood at a past moment.
        """
        with self._connection(scope.project) as connection:
            return reads.listed(connection, scope, limit, offset, show_expired, where, as_of)

    def history(self, project: str, memory_id: UUID) -> list[HistoryEntry]:
        """Every version of a memory, oldest first; empty when the project has no such memory.

        Less the metadata before each, which is that of the version before. Raises ``TooLargeError``.
        """
        with self._connection(project) as connection:
            return reads.history(connection, project, memory_id)

    def request_history(
        self, project: str, request_id: str, after: int = -1, limit: int = 1000
    ) -> list[HistoryEntry]:
        """What a request changed, ordered by ``index``, a page from behind index ``after``: as far as it fits."""
        with self._connection(project) as connection:
            return reads.request_history(connection, project, request_id, after, limit)

    def outcome(self, project: str, request_id: str) -> RequestOutcome | None:
        """What became of a request; None when nobody knows it."""
        with self._connection(project) as connection:
            return reads.outcome(connection, project, request_id)

    # Accepting requests and knocking at the door.

    def accept(self, request: MemoryRequest) -> RequestOutcome:
        """Note a request before it is published, so that its status is true from the first moment.

        Returns what stands: the new ``accepted`` row, or what became of the same request earlier. Raises
        ``RecordRejectedError`` when the id was used for another request.
        """
        return self.accept_all([request])[0]

    def accept_all(self, requests: Sequence[MemoryRequest]) -> list[RequestOutcome]:
        """:meth:`accept` of several requests of one project, of all or, when it raises, of none."""
        with self.transaction(requests[0].project) as transaction:
            return transaction.accept(requests)

    def claim_accepted(self, before: datetime, limit: int = 8) -> list[Accepted]:
        """Requests accepted before that time whose record never arrived, to be published again.

        A few: each may be large, and will be in hand several times.
        """
        with self.transaction() as transaction:
            return transaction.claim_accepted(before, limit)

    def cursor_key(self, project: str) -> bytes:
        """The secret that the project's cursors are made with; the project is made if need be."""
        self.credentials.create_project(project)
        with self._connection(project) as connection:
            return reads.cursor_key(connection, project)

    def create_project(self, project: str) -> None:
        """Make the project unless it is there."""
        self.credentials.create_project(project)

    def create_api_key(self, project: str, name: str, scopes: Collection[str] = DEFAULT_SCOPES) -> str:
        """Make the project if need be and a key for it; returns the token, which cannot be read again."""
        return self.credentials.issue_key(project, name, scopes).token

    def api_key(self, token: str) -> ApiKey | None:
        """The key of this token, unless it is unknown, expired or revoked."""
        return self.credentials.find_key(token)
