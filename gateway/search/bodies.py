"""The bodies of searches and lists, as the documents show them; ``selection`` and ``filters`` read more."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, JsonValue, with_config
from typing_extensions import TypedDict

from gateway.search.querying import TOP_K_MAX, Page, SearchOptions
from gateway.shapes.parts import Id, one_of
from gateway.writes.bodies import FILTERS_MAX
from schemas.requests import EntityId
from schemas.scope import ENTITY_FIELDS
from schemas.times import Instant


@with_config(extra="forbid", json_schema_extra={"minProperties": 1})
class TextOperators(TypedDict, total=False):
    """How a text is compared: exactly, by code points, or as a substring (``icontains``: whatever the case)."""

    eq: str | None
    ne: str | None
    in_: Annotated[list[str | None], Field(alias="in")]
    nin: list[str | None]
    gt: str
    gte: str
    lt: str
    lte: str
    contains: str
    icontains: str


@with_config(extra="forbid", json_schema_extra={"minProperties": 1})
class TimeOperators(TypedDict, total=False):
    """How a time is compared; a bare date is the whole day."""

    eq: Instant | None
    ne: Instant | None
    in_: Annotated[list[Instant | None], Field(alias="in")]
    nin: list[Instant | None]
    gt: Instant
    gte: Instant
    lt: Instant
    lte: Instant


@with_config(extra="forbid", json_schema_extra={"minProperties": 1})
class ValueOperators(TypedDict, total=False):
    """How a value of the metadata is compared: a number with a number, a text with a text."""

    eq: JsonValue
    ne: JsonValue
    in_: Annotated[list[JsonValue], Field(alias="in")]
    nin: list[JsonValue]
    gt: str | float
    gte: str | float
    lt: str | float
    lte: str | float
    contains: Annotated[str | float | bool, Field(description="A substring of a text, or an element of an array.")]
    icontains: str


IdFilter = EntityId | list[EntityId] | TextOperators | None
TextFilter = str | list[str] | TextOperators | None
TimeFilter = Instant | list[Instant] | TimeOperators | None
MetadataFilter = dict[str, ValueOperators | str | float | bool | list[JsonValue] | None]


@with_config(
    extra="forbid",
    json_schema_extra={"examples": [{"AND": [{"user_id": "alice"}, {"metadata": {"priority": {"gte": 3}}}]}]},
)
class Filters(TypedDict, total=False):
    """Conditions, all of which hold. ``*`` is any value but null; ``AND``, ``OR`` and ``NOT`` nest."""

    user_id: IdFilter
    agent_id: IdFilter
    app_id: IdFilter
    run_id: IdFilter
    text: TextFilter
    role: TextFilter
    name: TextFilter
    created_at: TimeFilter
    updated_at: TimeFilter
    expiration_date: TimeFilter
    categories: Annotated[TextFilter, Field(description="No memory has one.")]
    memory_ids: list[Id]
    metadata: Annotated[MetadataFilter, Field(description="By key.")]
    AND: Filters | Annotated[list[Filters], Field(min_length=1)]
    OR: Filters | Annotated[list[Filters], Field(min_length=1)]
    NOT: Filters | Annotated[list[Filters], Field(min_length=1)]


class _Selection(BaseModel):
    filters: Filters | None = Field(None, description="Which memories; somewhere it must name an entity id.")
    user_id: IdFilter = Field(None, description="The user whose memories these are.")
    agent_id: IdFilter = Field(None, description="The agent whose memories these are.")
    app_id: IdFilter = Field(None, description="The application whose memories these are.")
    run_id: IdFilter = Field(None, description="The run (session) whose memories these are.")
    metadata: MetadataFilter | None = Field(None, description="As in filters.")
    start_date: Instant | None = Field(None, description="Only memories from this time on.")
    end_date: Instant | None = Field(None, description="Only memories up to this time.")


class SearchBody(SearchOptions, _Selection):
    """What to look for, and among which memories: at least one entity id."""

    model_config = ConfigDict(json_schema_extra=one_of(*ENTITY_FIELDS, "filters"))

    limit: int | None = Field(None, ge=1, le=TOP_K_MAX, description="What older clients call top_k.")


class ListBody(Page, _Selection):
    """Which memories: at least one entity id."""

    model_config = ConfigDict(json_schema_extra=one_of(*ENTITY_FIELDS, "filters"))


class ListQuery(Page):
    """Which memories: at least one entity id."""

    filters: str | None = Field(None, max_length=FILTERS_MAX, description="As in `POST /v3/memories/`, as JSON.")
    user_id: EntityId | None = Field(None, description="The user whose memories these are.")
    agent_id: EntityId | None = Field(None, description="The agent whose memories these are.")
    app_id: EntityId | None = Field(None, description="The application whose memories these are.")
    run_id: EntityId | None = Field(None, description="The run (session) whose memories these are.")
    start_date: Instant | None = Field(None, description="Only memories from this time on.")
    end_date: Instant | None = Field(None, description="Only memories up to this time.")
