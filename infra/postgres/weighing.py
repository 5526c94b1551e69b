"""How much requests will hold of what is stored already, before it is read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from uuid import UUID

from sqlalchemy import Connection, Text, Uuid, and_, bindparam, func, select, union_all
from sqlalchemy.dialects.postgresql import ARRAY

from infra.postgres.bounded import size
from infra.postgres.tables import memories, memory_history
from schemas.history import RequestKey

_NAMED: Final = (
    func.unnest(
        bindparam("projects", type_=ARRAY(Text)),
        bindparam("requests", type_=ARRAY(Text)),
        bindparam("memories", type_=ARRAY(Uuid)),
    )
    .table_valued("project", "request_id", "memory_id")
    .render_derived()
)
_OF_MEMORIES: Final = select(_NAMED.c.project, _NAMED.c.request_id, size(memories).label("bytes")).join(
    memories, memories.c.id == _NAMED.c.memory_id
)
# Of that memory alone: another request may have had the id, and changed thousands.
_OF_HISTORY: Final = select(_NAMED.c.project, _NAMED.c.request_id, size(memory_history).label("bytes")).join(
    memory_history,
    and_(*(memory_history.c[name] == _NAMED.c[name] for name in ("project", "request_id", "memory_id"))),
)
_ALL: Final = union_all(_OF_MEMORIES, _OF_HISTORY).subquery()
_HELD: Final = select(_ALL.c.project, _ALL.c.request_id, func.sum(_ALL.c.bytes)).group_by(
    _ALL.c.project, _ALL.c.request_id
)


def held(connection: Connection, named: Mapping[RequestKey, UUID]) -> dict[RequestKey, int]:
    """The bytes of texts and metadata of the memory that each request names, and of its change if it was made."""
    values = {
        "projects": [project for project, _ in named],
        "requests": [request_id for _, request_id in named],
        "memories": list(named.values()),
    }
    return {(project, id): int(bytes_held) for project, id, bytes_held in connection.execute(_HELD, values)}
