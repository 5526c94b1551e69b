"""Requests at random, from a seed: what two runs with the same seed publish on one day is the same."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID

import orjson

from schemas.identity import memory_id
from schemas.requests import MemoryRequest
from tests.harness.kafka import Message

SEED_VARIABLE = "AGENTMEM_TEST_SEED"
#: A producer's own header that says why this record must end in the dead-letter topic.
POISON_HEADER = "expected-reason"
#: Which part of the updates at least brings no vector: where there was one, it must go with the old text.
_WITHOUT_VECTOR = 0.1
#: An agent whom many users have; nobody deletes all of its memories, which lie in many partitions.
_HELPER = "helper"
_WORDS = ("likes", "tea", "coffee", "walks", "Bern", "trains", "never", "on", "Sundays", "Grüße", "🌍", "reads")


def seed() -> int:
    """The seed given in ``AGENTMEM_TEST_SEED``, else a new one; printed, so that a failure can be repeated."""
    given = os.environ.get(SEED_VARIABLE)
    number = int(given) if given else int.from_bytes(os.urandom(4))
    print(f"{SEED_VARIABLE}={number}")
    return number


def message(request: dict[str, Any], *, poison: str | None = None, key: bytes | None = None) -> Message:
    """The record of a request, keyed by its scope."""
    value = orjson.dumps(request)
    headers = [(POISON_HEADER, poison.encode())] if poison else []
    if key is None:
        key = MemoryRequest.model_validate(request).scope.key.encode()
    return Message(key, value, headers)


@dataclass
class Workload:
    """Makes requests that meet each other's memories, and now and then poison.

    Every request is keyed by its owner, and no request touches another owner's memories: so log order within
    the partitions, which is all that Kafka keeps, is enough to say what must come out. Of five owners three are
    users, one is a user of another project with the same name as one of these, and one is an agent.
    """

    random: Random
    dimension: int
    users: int = 60
    #: Which part of the records is poison.
    poison: float = 0.0
    #: Which part of the texts comes without a vector of the producer's own.
    embedded: float = 0.02
    #: Which part of the records repeats an earlier one, as a producer's retry does.
    repeated: float = 0.02
    #: How often all memories of an owner are deleted, where 100 is about always.
    purges: float = 0.3
    prefix: str = "r"
    _number: int = 0
    #: By project and owner.
    _memories: dict[tuple[str, str], list[UUID]] = field(default_factory=dict)
    _sent: list[dict[str, Any]] = field(default_factory=list)

    def messages(self, count: int) -> Iterator[Message]:
        """The next records."""
        for _ in range(count):
            if self.random.random() < self.poison:
                yield self._poisonous()
            else:
                yield message(self._request())

    def _request(self) -> dict[str, Any]:
        draw = self.random
        if self._sent and draw.random() < self.repeated:
            return draw.choice(self._sent)  # a producer's retry
        owner = self._owner()
        project, name = owner.get("project", "default"), owner.get("user_id") or owner["agent_id"]
        known = self._memories.setdefault((project, name), [])
        op = draw.choices(["add", "update", "delete", "delete_all"], [60, 25, 14, self.purges])[0]
        if not known and op in ("update", "delete"):
            op = "add"
        request: dict[str, Any] = {"request_id": self._id(), "op": op, **owner}
        if op == "add":
            if draw.random() < 0.3:
                request["run_id"] = f"run-{draw.randrange(3)}"
            if "user_id" in owner and draw.random() < 0.2:
                request["agent_id"] = _HELPER
            self._add(request, known)
        elif op == "delete_all":
            if draw.random() < 0.2:
                request["run_id"] = "run-0"
            elif draw.random() < 0.9:  # now and then what follows is too late
                known.clear()
        else:
            request["memory_id"] = str(self._strange(project) if draw.random() < 0.03 else draw.choice(known))
            if draw.random() < 0.2:
                request["expected_version"] = draw.randrange(1, 4)
        if op == "update":
            self._update(request)
        if len(self._sent) < 2_000:
            self._sent.append(request)
        return request

    def _owner(self) -> dict[str, str]:
        """Whose memories a request is about: its scope."""
        number = self.random.randrange(self.users)
        if number % 5 == 3:
            return {"project": "another", "user_id": f"user-{number - 3}"}
        return {"agent_id": f"agent-{number}"} if number % 5 == 4 else {"user_id": f"user-{number}"}

    def _strange(self, project: str) -> UUID:
        """The id of a memory that another project has, or nobody."""
        theirs = [ids for (other, _), ids in self._memories.items() if other != project and ids]
        if theirs and self.random.random() < 0.5:
            return self.random.choice(self.random.choice(theirs))
        return UUID(int=self.random.getrandbits(128))

    def _add(self, request: dict[str, Any], known: list[UUID]) -> None:
        draw = self.random
        count = 1
        if draw.random() < self.embedded:
            count = draw.randrange(1, 4)
            request["messages"] = [{"role": "user", "name": "Ana", "content": self._text()} for _ in range(count)]
        else:
            request |= {"text": self._text(), "vector": self._vector()}
        if draw.random() < 0.3:
            request["metadata"] = {"n": draw.randrange(5), "deep": {"list": [1, 2.5, None, True]}}
        if draw.random() < 0.1:
            request["expiration_date"] = draw.choice(["2099-12-31", "2099-12-31", _yesterday()])
        project = request.get("project", "default")
        known += [memory_id(project, request["request_id"], index) for index in range(count)]

    def _update(self, request: dict[str, Any]) -> None:
        draw = self.random
        kind = draw.randrange(4)
        if kind < 2:
            request |= {"text": self._text(), "vector": self._vector()}
        elif kind == 2:
            request["metadata"] = {"n": draw.randrange(5)}
        else:
            request["expiration_date"] = draw.choice([None, "2098-01-01", _yesterday()])
        if draw.random() < max(self.embedded, _WITHOUT_VECTOR):
            request.pop("vector", None)

    def _poisonous(self) -> Message:
        kinds = [*BAD_VALUES, "invalid_vector", *(["request_id_conflict"] if self._sent else [])]
        return self.poisonous(self.random.choice(kinds))

    def poisonous(self, kind: str) -> Message:
        """A record that must be dead-lettered, of one of ``POISON_KINDS``."""
        good = {"request_id": self._id(), "op": "add", **self._owner(), "text": self._text()}
        if kind == "request_id_conflict":
            old = self.random.choice(self._sent)
            scope: dict[str, Any] = {name: old[name] for name in ("project", "user_id", "agent_id") if name in old}
            return message({"request_id": old["request_id"], "op": "add", "text": "other", **scope}, poison=kind)
        if kind == "invalid_vector":
            size = self.random.choice([self.dimension - 1, self.dimension + 1, 1])
            return message(good | {"vector": [0.5] * size}, poison=kind)
        key = MemoryRequest.model_validate(good).scope.key.encode()
        reason, make = BAD_VALUES[kind]
        value = make(orjson.dumps(good))
        return Message(key, value, [(POISON_HEADER, reason.encode()), ("mine", b"\x00\xff"), ("mine", b"")])

    def _id(self) -> str:
        self._number += 1
        return f"{self.prefix}{self._number}"

    def _text(self) -> str:
        # The number makes every text another one.
        return " ".join([*self.random.choices(_WORDS, k=self.random.randrange(3, 12)), str(self._number)])

    def _vector(self) -> list[float]:
        return [round(self.random.gauss(0, 1), 3) for _ in range(self.dimension)]


def _yesterday() -> str:
    """Memories that expired then are hidden, and not deleted for that: their time has not come."""
    return (datetime.now(UTC).date() - timedelta(days=1)).isoformat()


def _with_metadata(good: bytes, **fields: Any) -> bytes:
    request = orjson.loads(good)
    if "messages" in fields:
        request.pop("text", None)
        request.pop("vector", None)
    return orjson.dumps(request | fields)


#: Poison that is wrong by itself: by name, its reason and how it is made from a good value.
BAD_VALUES: dict[str, tuple[str, Any]] = {
    "null": ("null_value", lambda good: None),
    "large": ("too_large", lambda good: good[:-1] + b',"metadata":{"a":"' + b"x" * 2_000_000 + b'"}}'),
    "not-utf8": ("invalid_utf8", lambda good: good.replace(b'"add"', b'"add","metadata":{"a":"\xff\xfe"}')),
    "not-json": ("invalid_json", lambda good: good[:-1]),
    "empty": ("invalid_json", lambda good: b""),
    "nan": ("invalid_json", lambda good: good[:-1] + b',"vector":[NaN]}'),
    "nul": ("invalid_text", lambda good: good[:-1] + b',"metadata":{"a":"\\u0000"}}'),
    "surrogate": ("invalid_text", lambda good: good[:-1] + b',"metadata":{"a":"\\ud800"}}'),
    "not-an-object": ("invalid_schema", lambda good: b"[" + good + b"]"),
    "unknown-field": ("invalid_schema", lambda good: good[:-1] + b',"txet":"typo"}'),
    "multiplied": (
        "too_large",
        lambda good: _with_metadata(good, messages=[{"content": "x"}] * 1_000, metadata={"a": "y" * 60_000}),
    ),
    "many-values": ("invalid_schema", lambda good: _with_metadata(good, metadata={"a": [{}] * 30_000})),
    "newer": ("unsupported_schema_version", lambda good: good[:-1] + b',"schema_version":2}'),
}
POISON_KINDS = (*BAD_VALUES, "invalid_vector", "request_id_conflict")
