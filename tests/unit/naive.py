"""A naive model of AgentMem: requests applied one by one to plain dictionaries. The oracle of many tests."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple
from uuid import UUID

from schemas.identity import memory_id
from schemas.requests import MemoryRequest
from schemas.scope import ENTITY_FIELDS
from schemas.vectors import unit_vector


@dataclass
class NaiveRow:
    """What is known of a memory, without times."""

    scope: tuple[str | None, ...]
    text: str
    metadata: dict[str, Any]
    version: int = 1
    expires: object = None
    deleted: bool = False
    role: str = "user"
    name: str | None = None
    #: The caller's own unit vector, if one came with the text.
    vector: list[float] | None = None


class NaiveVersion(NamedTuple):
    """A memory after one of its changes, less its vector, of which the history tells nothing."""

    kind: str
    request_id: str
    row: NaiveRow


@dataclass
class NaiveModel:
    """Applies requests in the order given; a repeated request id changes nothing."""

    rows: dict[UUID, NaiveRow] = field(default_factory=dict)
    #: The history of each memory.
    versions: dict[UUID, list[NaiveVersion]] = field(default_factory=dict)
    #: For each request: succeeded, unchanged, or the reason of its failure; and how many changes.
    outcomes: dict[tuple[str, str], tuple[str, int]] = field(default_factory=dict)

    def apply_all(self, requests: Iterable[MemoryRequest]) -> None:
        for request in requests:
            self.apply(request)

    def apply(self, request: MemoryRequest) -> None:
        key = request.project, request.request_id
        if key not in self.outcomes:
            self.outcomes[key] = getattr(self, f"_{request.op}")(request)

    def _add(self, request: MemoryRequest) -> tuple[str, int]:
        for index, message in enumerate(request.contents):
            id = memory_id(request.project, request.request_id, index)
            self.rows[id] = NaiveRow(
                _ids(request),
                message.content,
                request.metadata or {},
                expires=request.expiration_date,
                role=message.role,
                name=message.name,
                vector=_vector(request),
            )
            self._note(id, "added", request)
        return "succeeded", len(request.contents)

    def _update(self, request: MemoryRequest) -> tuple[str, int]:
        row, problem = self._find(request)
        if row is None:
            return problem, 0
        before = replace(row)
        if request.text is not None:
            if request.vector is not None or request.text != row.text:
                row.vector = _vector(request)
            row.text = request.text
        if request.metadata is not None:
            row.metadata = request.metadata
        if "expiration_date" in request.model_fields_set:
            row.expires = request.expiration_date
        if before == row:
            return "unchanged", 0
        return self._changed(request.memory_id, row, "updated", request)

    def _delete(self, request: MemoryRequest) -> tuple[str, int]:
        row, problem = self._find(request)
        if row is None:
            return problem, 0
        row.deleted = True
        return self._changed(request.memory_id, row, "deleted", request)

    def _delete_all(self, request: MemoryRequest) -> tuple[str, int]:
        wanted = _ids(request)
        present = request.present or ()
        everything = set(present) == set(ENTITY_FIELDS)
        gone = 0
        for id, row in self.rows.items():
            has = dict(zip(ENTITY_FIELDS, row.scope[1:], strict=True))
            fits = row.scope[0] == wanted[0] and all(
                want in (None, had) for want, had in zip(wanted[1:], has.values(), strict=True)
            )
            fits = fits and (everything or all(has[field] is not None for field in present))
            if fits and not row.deleted:
                row.deleted = True
                self._changed(id, row, "deleted", request)
                gone += 1
        return ("succeeded", gone) if gone else ("unchanged", 0)

    def _find(self, request: MemoryRequest) -> tuple[NaiveRow | None, str]:
        assert request.memory_id is not None
        row = self.rows.get(request.memory_id)
        if row is None or row.deleted or row.scope[0] != request.project:
            return None, "not_found"
        if any(want not in (None, has) for want, has in zip(_ids(request)[1:], row.scope[1:], strict=True)):
            return None, "not_found"
        if request.expected_version not in (None, row.version):
            return None, "version_conflict"
        return row, ""

    def _changed(self, id: UUID | None, row: NaiveRow, kind: str, request: MemoryRequest) -> tuple[str, int]:
        assert id is not None
        row.version += 1
        self._note(id, kind, request)
        return "succeeded", 1

    def _note(self, id: UUID, kind: str, request: MemoryRequest) -> None:
        version = NaiveVersion(kind, request.request_id, replace(self.rows[id], vector=None))
        self.versions.setdefault(id, []).append(version)


def _ids(request: MemoryRequest) -> tuple[str | None, ...]:
    return request.project, request.user_id, request.agent_id, request.app_id, request.run_id


def _vector(request: MemoryRequest) -> list[float] | None:
    return None if request.vector is None else unit_vector(request.vector)
