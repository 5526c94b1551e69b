"""What a handler takes and answers, declared where the handler stands."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from aiohttp.typedefs import Handler
from pydantic import BaseModel

AnyHandler = TypeVar("AnyHandler", bound=Handler)


@dataclass(frozen=True, slots=True)
class Text:
    """An answer that is not JSON, of one of these media types."""

    media_types: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Operation:
    """What is said of an operation beyond its route: see :func:`operation`."""

    answers: Mapping[int, Any]
    body: Any = None
    body_required: bool = True
    query: type[BaseModel] | None = None
    headers: type[BaseModel] | None = None
    problems: tuple[int, ...] = ()
    answer_headers: tuple[str, ...] = ()


_DECLARED: Final[dict[Handler, Operation]] = {}


def operation(
    *,
    answers: Mapping[int, Any],
    body: Any = None,
    body_required: bool = True,
    query: type[BaseModel] | None = None,
    headers: type[BaseModel] | None = None,
    problems: tuple[int, ...] = (),
    answer_headers: tuple[str, ...] = (),
) -> Callable[[AnyHandler], AnyHandler]:
    """Declare a handler's operation.

    ``answers`` are what it answers by status: a shape of ``gateway.shapes`` or a list of them, a :class:`Text`, or
    None where there is no body; ``answer_headers`` are headers that these always have. ``body``, ``query`` and
    ``headers`` are models: each field of the latter two is a parameter, a header's by its alias. ``problems`` are
    the statuses of errors that not every operation has (those that all have are in ``gateway.openapi.problems``).
    """

    def declare(handler: AnyHandler) -> AnyHandler:
        _DECLARED[handler] = Operation(answers, body, body_required, query, headers, problems, answer_headers)
        return handler

    return declare


def operation_of(handler: Handler) -> Operation:
    """What was declared; raises ``LookupError`` for a handler without a declaration."""
    if handler not in _DECLARED:
        raise LookupError(f"{handler.__module__}.{handler.__qualname__} has no @operation")
    return _DECLARED[handler]
