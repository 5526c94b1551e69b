"""Request bodies as mem0's clients send them: read, and checked with a 400 that names what is wrong.

A field that we do not know is ignored, as mem0's clients need it. One that we know and do not support is a
400 that names it, unless it is empty or off: silence would promise what is not done.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, TypeVar

from aiohttp import web
from pydantic import BaseModel, ValidationError

from gateway.http.intake import BODY
from gateway.http.jsonio import loads_object
from gateway.http.problems import ApiError, invalid

Model = TypeVar("Model", bound=BaseModel)


def read_body(request: web.Request, keep: Collection[str] = ()) -> dict[str, Any]:
    """The JSON object that was sent, without its nulls: clients send null for what is not set.

    In the fields named in ``keep`` null has a meaning of its own and stays.
    """
    body = read_object(request)
    return {key: value for key, value in body.items() if value is not None or key in keep}


def read_object(request: web.Request) -> dict[str, Any]:
    """The JSON object that was sent, with its nulls."""
    try:
        return loads_object(request.get(BODY, b""))
    except ValueError as error:
        raise ApiError(400, "invalid_json", str(error)) from error


def validated(model: type[Model], fields: Mapping[str, Any]) -> Model:
    """The model, or a 400 that names the first field at fault."""
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        message = first["msg"].removeprefix("Value error, ")
        raise invalid(".".join(str(part) for part in first["loc"]) or "body", message) from error


def refuse(body: Mapping[str, Any], names: Iterable[str]) -> None:
    """A 400 for the first of these fields that is set to something."""
    for name in names:
        if body.get(name):
            raise ApiError(400, "unsupported_field", f"{name}: this field is not supported.", field=name)


def items_of(body: Mapping[str, Any], most: int) -> list[Mapping[str, Any]]:
    """The objects in a batch's ``memories``: 1 to ``most``."""
    items = body.get("memories")
    if not isinstance(items, list) or not 1 <= len(items) <= most:
        raise invalid("memories", f"must be a list of 1 to {most} objects")
    for number, item in enumerate(items):
        if not isinstance(item, Mapping):
            raise invalid(f"memories.{number}", "must be an object")
    return items
