"""The bodies of writes, as the documents show them. ``adding`` and ``changing`` read them, and more leniently."""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field

from gateway.shapes.parts import one_of
from schemas.requests import (
    MAX_MESSAGES,
    EntityId,
    MemoryRequest,
    Message,
    Metadata,
    Role,
    SpeakerName,
    Text,
)
from schemas.scope import ENTITY_FIELDS
from schemas.times import Expiry, Instant

BATCH_MAX: Final = 1_000
#: Characters in a query's filters at most.
FILTERS_MAX: Final = 4_096

_Items = Field(min_length=1, max_length=BATCH_MAX)


def _like(model: type[BaseModel], field: str) -> Any:
    """The default and description of another model's field."""
    info = model.model_fields[field]
    return Field(info.default, description=info.description)


class _Ids(BaseModel):
    user_id: EntityId | None = _like(MemoryRequest, "user_id")
    agent_id: EntityId | None = _like(MemoryRequest, "agent_id")
    app_id: EntityId | None = _like(MemoryRequest, "app_id")
    run_id: EntityId | None = _like(MemoryRequest, "run_id")


class _Options(BaseModel):
    metadata: Metadata | None = _like(MemoryRequest, "metadata")
    expiration_date: Expiry | None = _like(MemoryRequest, "expiration_date")
    timestamp: Instant | None = _like(MemoryRequest, "timestamp")


class SaidMessage(BaseModel):
    """One message of a conversation."""

    content: Text = _like(Message, "content")
    role: Role | None = _like(Message, "role")
    name: SpeakerName | None = _like(Message, "name")
    timestamp: Instant | None = _like(Message, "timestamp")


_Messages = Annotated[list[str | SaidMessage], Field(min_length=1, max_length=MAX_MESSAGES)]


class WriteFilters(_Ids):
    """Entity ids, for clients that send them here."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1})


class AddBody(_Ids, _Options):
    """What to remember, and whose it is: at least one entity id."""

    model_config = ConfigDict(json_schema_extra=one_of(*ENTITY_FIELDS, "filters"))

    messages: str | SaidMessage | _Messages = Field(
        description="A text, a message, or a list of them: one memory each."
    )
    infer: bool = Field(
        True, description="False: the answer waits until the messages are memories. They are stored as they are."
    )
    filters: WriteFilters | None = Field(None, description="Entity ids may stand here too.")


class UpdateBody(_Options):
    """What to change. Of text, metadata and expiry at least one."""

    model_config = ConfigDict(json_schema_extra=one_of("text", "metadata", "expiration_date"))

    text: Text | None = Field(None, description="The new text.", examples=["I play the viola"])


class BatchItem(_Ids, _Options):
    """A memory to add, with its scope."""

    model_config = ConfigDict(json_schema_extra=one_of(*ENTITY_FIELDS, "filters"))

    content: str = Field(min_length=1, description="What is remembered.")
    role: Role | None = _like(Message, "role")
    name: SpeakerName | None = _like(Message, "name")
    filters: WriteFilters | None = Field(None, description="Entity ids may stand here too.")


class BatchAddBody(BaseModel):
    """Memories to add."""

    memories: Annotated[list[BatchItem], _Items] = Field(description="The memories.")


class BatchUpdateItem(UpdateBody):
    """A memory's change."""

    memory_id: str = Field(description="The memory's id.", json_schema_extra={"format": "uuid"})


class BatchUpdateBody(BaseModel):
    """Memories to change."""

    memories: Annotated[list[BatchUpdateItem], _Items] = Field(description="The changes.")


class BatchDeleteItem(BaseModel):
    """A memory to delete."""

    memory_id: str = Field(description="The memory's id.", json_schema_extra={"format": "uuid"})


class BatchDeleteBody(BaseModel):
    """Memories to delete."""

    memories: Annotated[list[BatchDeleteItem], _Items] = Field(description="The memories.")


class ScopeQuery(_Ids):
    """Which memories to delete: ids, each a name or ``*``."""

    filters: str | None = Field(
        None, max_length=FILTERS_MAX, description="Entity ids as a JSON object, for clients that send them here."
    )


class ResetQuery(BaseModel):
    """Whether it is meant."""

    confirm: str = Field(description="The project's id.")


class DeleteQuery(BaseModel):
    """What mem0's clients ask for beside."""

    delete_linked: bool | None = Field(None, description="Not supported: only false.")
