"""A memory request: the value of a ``memory-requests`` record."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, Self
from uuid import UUID

import orjson
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    StrictBool,
    model_validator,
)

from schemas.identity import content_hash
from schemas.jsonvalues import MAX_PARTS, canonical_value, parts_of
from schemas.operations import Operation, add_rules_to_schema, problem_with
from schemas.scope import ENTITY_FIELDS, Scope
from schemas.times import Expiry, Instant

SCHEMA_VERSION: Final = 1
DEFAULT_PROJECT: Final = "default"
MAX_MESSAGES: Final = 1_000

EntityField = Literal["user_id", "agent_id", "app_id", "run_id"]
EntityId = Annotated[str, Field(min_length=1, max_length=256)]
ProjectId = Annotated[str, Field(min_length=1, max_length=128)]
RequestId = Annotated[str, Field(min_length=1, max_length=200)]
Text = Annotated[str, Field(min_length=1)]
Role = Annotated[str, Field(min_length=1, max_length=64)]
SpeakerName = Annotated[str, Field(min_length=1, max_length=256)]
StoredMetadata = Annotated[dict[str, JsonValue], AfterValidator(canonical_value)]


def _not_a_truth_value(value: object) -> object:
    # To Python, and so to Literal, true is 1.
    if isinstance(value, bool):
        raise ValueError("must be a number")
    return value


def _not_too_many(value: dict[str, Any]) -> dict[str, Any]:
    parts_of(value)
    return value


#: As a request brings it. The bound is for what is new, not for what is stored already.
Metadata = Annotated[dict[str, JsonValue], AfterValidator(_not_too_many), AfterValidator(canonical_value)]
SchemaVersion = Annotated[Literal[1], BeforeValidator(_not_a_truth_value)]
VectorItem = Annotated[float, Field(strict=True, allow_inf_nan=False)]

__all__ = [
    "DEFAULT_PROJECT",
    "MAX_MESSAGES",
    "SCHEMA_VERSION",
    "MemoryRequest",
    "Message",
    "Metadata",
    "Operation",
    "StoredMetadata",
]


class Message(BaseModel):
    """One message of a conversation; each becomes one memory."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    role: Role = Field("user", description="Who speaks: user, assistant, system or another word of yours.")
    content: Text = Field(description="What was said, word for word.")
    name: SpeakerName | None = Field(
        None, description="The speaker's name. It is embedded together with the text."
    )
    timestamp: Instant | None = Field(
        None, description="When it was said. Default: the request's timestamp, else the time it is applied."
    )


class MemoryRequest(BaseModel):
    """What a producer asks for. ``request_id`` is unique in its project and makes a retry harmless."""

    model_config = ConfigDict(extra="forbid", frozen=True, json_schema_extra=add_rules_to_schema)

    schema_version: SchemaVersion = Field(SCHEMA_VERSION, description="The version of this format.")
    request_id: RequestId = Field(
        description="Your own id, unique in the project: the same request may be sent again under it."
    )
    op: Operation = Field(description="What to do.")
    project: ProjectId = Field(DEFAULT_PROJECT, description="The project: a wall between tenants.")
    user_id: EntityId | None = Field(None, description="The user whose memory it is.")
    agent_id: EntityId | None = Field(None, description="The agent whose memory it is.")
    app_id: EntityId | None = Field(None, description="The application whose memory it is.")
    run_id: EntityId | None = Field(None, description="The run (session) whose memory it is.")
    messages: Annotated[tuple[Message, ...], Field(min_length=1, max_length=MAX_MESSAGES)] | None = Field(
        None, description="add: messages to remember, one memory each. Or give text."
    )
    text: Text | None = Field(None, description="add: one text to remember. update: the new text.")
    memory_id: UUID | None = Field(None, description="update, delete: the memory's id.")
    metadata: Metadata | None = Field(
        None,
        description="Your own JSON object, stored with each memory, so with many messages it must be small. "
        f"It may hold {MAX_PARTS} values. update: replaces the old one as a whole.",
    )
    expiration_date: Expiry | None = Field(
        None,
        description="From when on the memory is hidden. update: null removes the expiry, absence keeps it.",
    )
    infer: StrictBool = Field(
        True,
        description="add: whether facts may be extracted. Without an extractor messages are stored as they are.",
    )
    timestamp: Instant | None = Field(None, description="When it happened. Default: the time it is applied.")
    vector: list[VectorItem] | None = Field(
        None,
        description="Your own embedding of the one text given, of the model's dimension; scaled to length 1.",
    )
    expected_version: Annotated[int, Field(ge=1, strict=True)] | None = Field(
        None, description="update, delete: fail with version_conflict unless the memory has this version."
    )

    present: Annotated[tuple[EntityField, ...], Field(min_length=1, max_length=len(ENTITY_FIELDS))] | None = Field(
        None,
        description="delete_all: ids that a memory must have, whatever they are. All four together mean every "
        "memory of the project.",
    )

    @model_validator(mode="after")
    def _fields_fit_the_operation(self) -> Self:
        given = frozenset(field for field in self.model_fields_set if getattr(self, field) is not None)
        if problem := problem_with(self.op, given, frozenset(self.model_fields_set - given)):
            raise ValueError(problem)
        if self.vector is not None and len(self.contents) != 1:
            raise ValueError("vector goes with exactly one text")
        return self

    @property
    def scope(self) -> Scope:
        """Whose memory it is; for an update or delete, as far as the producer says."""
        return Scope(self.project, self.user_id, self.agent_id, self.app_id, self.run_id)

    @property
    def contents(self) -> tuple[Message, ...]:
        """The messages that an ``add`` stores, one memory each."""
        if self.messages is not None:
            return self.messages
        return (Message(content=self.text),) if self.text is not None else ()

    @property
    def clears_expiry(self) -> bool:
        """Whether an ``update`` asks for the expiry to be removed."""
        return "expiration_date" in self.model_fields_set and self.expiration_date is None

    def canonical(self) -> dict[str, Any]:
        """The request as JSON values, without what is default: fields added later do not change old hashes."""
        document = self.model_dump(mode="json", exclude_defaults=True)
        if self.op == "update" and self.clears_expiry:
            document["expiration_date"] = None
        return document

    def to_json(self) -> bytes:
        """The request as the value of a ``memory-requests`` record."""
        return orjson.dumps({"schema_version": SCHEMA_VERSION, **self.canonical()})

    def content_hash(self) -> str:
        """The hash that tells a repetition from another request under the same id."""
        return content_hash(self.canonical())
