"""From a line to the request that is published."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import orjson

from agents.stages.decode import decode
from schemas.exports import imported, is_exported
from schemas.problems import RecordRejectedError
from streams.records import Record as KafkaRecord

#: For checking a line before its id is known: as long as an id may be, so that the check of its size holds.
PLACEHOLDER_ID: Final = "0" * 200


class Record(NamedTuple):
    """A request ready for Kafka."""

    project: str
    request_id: str
    key: bytes
    value: bytes


class LineError(ValueError):
    """What is wrong with a line, in words for its author."""


@dataclass(frozen=True, slots=True)
class LineReader:
    """Turns lines into requests. ``project`` and ``ids`` are whose memories chat messages become."""

    project: str
    ids: Mapping[str, str]
    max_bytes: int

    def record(self, line: bytes, request_id: str = PLACEHOLDER_ID) -> Record:
        """A line with ``op`` is published as it is; a chat message becomes an ``add`` under ``request_id``, and an
        exported memory one under an id of its own.

        Raises ``LineError`` for whatever a worker would not take.
        """
        try:
            document = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            raise LineError(f"not JSON: {error}") from error
        if not isinstance(document, dict):
            raise LineError("not a JSON object")
        if is_exported(document):
            value = orjson.dumps(imported(document))
        else:
            value = line if "op" in document else orjson.dumps(self._add(document, request_id))
        try:
            request = decode(KafkaRecord("", 0, 0, 0.0, None, value), self.max_bytes)
        except RecordRejectedError as error:
            hint = " (kafka.request_max_bytes)" if len(value) > self.max_bytes else ""
            raise LineError(f"{error}{hint}") from error
        return Record(request.project, request.request_id, request.scope.key.encode(), value)

    def _add(self, message: dict[str, Any], request_id: str) -> dict[str, Any]:
        if "content" not in message:
            raise LineError("neither a request (with op) nor a chat message (with role and content)")
        if "role" not in message:
            raise LineError("role: a chat message needs it")
        if not self.ids:
            raise LineError("a chat message needs --user, --agent, --app or --run to say whose it is")
        return {
            "request_id": request_id,
            "op": "add",
            "project": self.project,
            **self.ids,
            "messages": [message],
        }
