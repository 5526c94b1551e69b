"""The conversations with their questions, read from where they lie: they are not part of this project."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from schemas.identity import memory_id
from schemas.requests import DEFAULT_PROJECT, MemoryRequest, Message

#: Questions without an answer in the conversation.
_ADVERSARIAL: Final = 5


@dataclass(frozen=True, slots=True)
class Question:
    """A question about one conversation, and the memories that hold its answer."""

    conversation: str
    text: str
    evidence: frozenset[UUID]


@dataclass(frozen=True, slots=True)
class Dataset:
    """All that is imported and asked. A session is one request, a turn one memory."""

    requests: list[MemoryRequest]
    questions: list[Question]

    @property
    def memories(self) -> dict[str, list[UUID]]:
        """The ids of the memories that the requests make, by conversation."""
        ids: dict[str, list[UUID]] = {}
        for request in self.requests:
            assert request.user_id is not None
            ids.setdefault(request.user_id, []).extend(_ids(request))
        return ids


def read_dataset(path: Path) -> Dataset:
    """Read the gzipped JSON file."""
    with gzip.open(path) as file:
        conversations = json.load(file)["conversations"]
    requests: list[MemoryRequest] = []
    questions: list[Question] = []
    for conversation in conversations:
        turns: dict[str, UUID] = {}
        for session in conversation["sessions"]:
            request = _request(conversation["id"], session)
            requests.append(request)
            turns |= zip((turn["dia_id"] for turn in session["turns"]), _ids(request), strict=True)
        questions += _questions(conversation, turns)
    return Dataset(requests, questions)


def _request(conversation: str, session: dict[str, Any]) -> MemoryRequest:
    return MemoryRequest(
        request_id=f"{conversation}-{session['session']}",
        op="add",
        user_id=conversation,
        timestamp=datetime.strptime(session["date_time"], "%I:%M %p on %d %B, %Y").replace(tzinfo=UTC),
        messages=tuple(Message(content=turn["text"], name=turn["speaker"]) for turn in session["turns"]),
    )


def _ids(request: MemoryRequest) -> list[UUID]:
    return [memory_id(DEFAULT_PROJECT, request.request_id, index) for index in range(len(request.contents))]


def _questions(conversation: dict[str, Any], turns: dict[str, UUID]) -> Iterator[Question]:
    for asked in conversation["qa"]:
        if asked["category"] != _ADVERSARIAL and asked["evidence"]:
            evidence = frozenset(turns[turn] for turn in asked["evidence"])
            yield Question(conversation["id"], asked["question"], evidence)
