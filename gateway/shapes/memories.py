"""Memories, their history, and whose they are."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field
from typing_extensions import TypedDict

from gateway.shapes.parts import Change, Count, Id, Page, Time

Kind = Literal["user", "agent", "app", "run"]


class Memory(TypedDict):
    """A memory. The run's id goes by both of its names."""

    id: Id
    memory: Annotated[str, Field(description="What is remembered.")]
    user_id: str | None
    agent_id: str | None
    app_id: str | None
    run_id: str | None
    session_id: Annotated[str | None, Field(description="The same as run_id.")]
    role: str
    name: Annotated[str | None, Field(description="The speaker's name.")]
    metadata: dict[str, Any]
    categories: Annotated[list[str], Field(description="Always empty.")]
    version: Annotated[int, Field(ge=1, description="From 1, one more with each change.")]
    created_at: Time
    updated_at: Time
    expiration_date: Time | None


class MemoryFields(TypedDict, total=False):
    """A memory, or some of it."""

    memory: str
    user_id: str | None
    agent_id: str | None
    app_id: str | None
    run_id: str | None
    session_id: str | None
    role: str
    name: str | None
    metadata: dict[str, Any]
    categories: list[str]
    version: int
    created_at: Time
    updated_at: Time
    expiration_date: Time | None


class FoundMemory(MemoryFields):
    """A memory that was found, with the fields asked for; by default all of them."""

    id: Id
    score: Annotated[float, Field(ge=0, le=1, description="How near it is in meaning; 0.5 is not near at all.")]


class Search(TypedDict):
    """What was found, best first."""

    results: list[FoundMemory]


class MemoryPage(Page):
    """A page of memories."""

    results: list[Memory]


class Entity(TypedDict):
    """A user, agent, app or run that has memories."""

    id: str
    name: str
    type: Kind
    total_memories: Count
    metadata: None
    created_at: Time
    updated_at: Time


class EntityPage(Page):
    """A page of entities."""

    results: list[Entity]


class HistoryLine(TypedDict):
    """One version of a memory; its id is the id of the event that announced it."""

    id: Id
    memory_id: Id
    event: Change
    old_memory: str | None
    new_memory: str | None
    metadata: dict[str, Any]
    version: Annotated[int, Field(ge=1)]
    request_id: str
    created_at: Time
    updated_at: Time
