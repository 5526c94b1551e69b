"""Writes, and how far they have come."""

from __future__ import annotations

from typing import Annotated, Literal, NotRequired

from pydantic import Field, with_config
from typing_extensions import TypedDict

from gateway.shapes.memories import MemoryFields
from gateway.shapes.parts import Change, Count, Id, Page, Status, Time

RequestId = Annotated[str, Field(description="The request's id: its state and its events are found by it.")]

Asked = Literal["ADD", "UPDATE", "DELETE", "DELETE_ALL"]


class ResultText(TypedDict):
    """The text of a result, where newer clients look for it."""

    memory: str


class Result(TypedDict):
    """What a request did to one memory."""

    id: Id
    memory: str
    data: ResultText
    event: Change


class Accepted(TypedDict):
    """A write: ``SUCCEEDED`` when it is done, ``PENDING`` or ``RUNNING`` when that takes longer."""

    message: str
    event_id: RequestId
    status: Status


@with_config(
    json_schema_extra={
        "examples": [
            {
                "message": "The messages were stored.",
                "event_id": "0d3f6c1e-3b7a-4f57-8a3e-0c8f8d2b1c11",
                "status": "SUCCEEDED",
                "results": [
                    {
                        "id": "8b6e2a3e-5d0f-5f0b-9a51-5c2f1d1f9a10",
                        "memory": "I play the violin",
                        "data": {"memory": "I play the violin"},
                        "event": "ADD",
                    }
                ],
            }
        ]
    }
)
class Added(Accepted):
    """An add. The results are there when it is done."""

    results: NotRequired[list[Result]]


class Deleted(Accepted):
    """A memory's deletion."""

    id: Id


class Updated(Accepted, MemoryFields):
    """A memory's change, and when it is done the memory."""

    id: Id
    text: NotRequired[Annotated[str, Field(description="The same as memory.")]]


class Event(TypedDict):
    """The state of a request."""

    id: str
    event_id: RequestId
    status: Status
    results: list[Result]
    reason: NotRequired[Annotated[str | None, Field(description="Why it failed, by name.")]]
    message: NotRequired[Annotated[str | None, Field(description="Why it failed, for a person.")]]


class ListedEvent(Event):
    """The state of a request in a list of them, with its first 100 results."""

    event_type: Asked
    updated_at: Time


class EventPage(Page):
    """A page of requests. ``count`` ends at 10,000, or behind this page; ``next`` says whether there are more."""

    results: list[ListedEvent]


class ItemError(TypedDict):
    """What is wrong with one item of a batch."""

    index: Count
    code: str
    detail: str
    field: NotRequired[str]
    event_id: NotRequired[str]
    memory_id: NotRequired[str]


class Batch(TypedDict):
    """What became of a batch."""

    success_count: Count
    fail_count: Count
    errors: list[ItemError]


class BatchAdded(Batch):
    """What became of a batch of adds, with the new memories' ids."""

    ids: list[Id]


class BatchChanged(Batch):
    """What became of a batch of changes."""

    message: str
