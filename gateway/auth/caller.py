"""Who is calling."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from uuid import UUID

from aiohttp import web

#: The longest name of a project.
PROJECT_MAX: Final = 128


@dataclass(frozen=True, slots=True)
class Caller:
    """A caller whose credential was found good: what it may do (``scopes``) in which project.

    ``id`` is what limits count by: the same for all tokens that came from one API key. ``key_id`` is set when it
    presents the API key itself.
    """

    project: str
    name: str
    scopes: frozenset[str]
    id: str
    key_id: UUID | None = None


CALLER: Final = web.RequestKey("caller", Caller)
