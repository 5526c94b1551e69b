"""What shapes are made of."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from pydantic.config import JsonDict
from typing_extensions import TypedDict

Time = Annotated[str, Field(json_schema_extra={"format": "date-time"})]
Id = Annotated[str, Field(json_schema_extra={"format": "uuid"})]
Count = Annotated[int, Field(ge=0)]
Link = Annotated[str | None, Field(description="An address; null where the list ends.")]
Change = Literal["ADD", "UPDATE", "DELETE"]
Status = Literal["PENDING", "RUNNING", "SUCCEEDED", "FAILED"]


class Page(TypedDict):
    """A page of a list: how long the list is, and where the pages beside this one are."""

    count: Count
    next: Link
    previous: Link


class Message(TypedDict):
    """What was done."""

    message: str


def one_of(*fields: str) -> JsonDict:
    """The JSON Schema of an object that has at least one of these fields.

    It says: not without all of them. By ``anyOf`` generated clients would have a class for each field.
    """
    return {"not": {"allOf": [{"not": {"required": [field]}} for field in fields]}}
