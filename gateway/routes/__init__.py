"""The operations, by what they are about. ``ALL`` is every route of the gateway."""

from __future__ import annotations

from typing import Final

from gateway.routes import events, health, memories, search

ALL: Final = [*memories.ROUTES, *search.ROUTES, *events.ROUTES, *health.ROUTES]
