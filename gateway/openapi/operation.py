"""What a handler takes and answers, declared where the handler stands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from aiohttp.typedefs import Handler
from pydantic import BaseModel

AnyHandler = TypeVar("AnyHandler", bound=Handler)


@dataclass(frozen=True, slots=True)
class Text:
    """An answer that is not JSON, of one of these media types."""

    media_types: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """Declares a handler's operation, as a decorator.

    ``answers`` are what it answers by status: a shape of ``gateway.shapes`` or a list of them, a :class:`Text`, or
    None where there is no body; ``answer_headers`` are headers that these always have. ``body``, of which
    ``example`` is one, ``query`` and ``headers`` are models: each field of the latter two is a parameter, a
    header's by its alias. ``problems`` are the statuses of errors that not every operation has (those that all
    have are in ``gateway.openapi.problems``). ``unsupported`` are fields of mem0 that are refused by name.
    """

    answers: Mapping[int, Any]
    body: Any = None
    body_required: bool = True
    example: Any = None
    query: type[BaseModel] | None = None
    headers: type[BaseModel] | None = None
    problems: tuple[int, ...] = ()
    answer_headers: tuple[str, ...] = ()
    unsupported: tuple[str, ...] = ()

    def __call__(self, handler: AnyHandler) -> AnyHandler:
        """Remember the declaration; the handler stays as it is."""
        _DECLARED[handler] = self
        return handler


operation = Operation
_DECLARED: Final[dict[Handler, Operation]] = {}


def operation_of(handler: Handler) -> Operation:
    """What was declared; raises ``LookupError`` for a handler without a declaration."""
    if handler not in _DECLARED:
        raise LookupError(f"{handler.__module__}.{handler.__qualname__} has no @operation")
    return _DECLARED[handler]
