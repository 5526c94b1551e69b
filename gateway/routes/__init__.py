"""The operations, by what they are about. ``ALL`` is every route of the gateway."""

from __future__ import annotations

from typing import Final

from gateway.routes import (
    batches,
    changes,
    entities,
    events,
    health,
    keys,
    memories,
    project,
    requests,
    search,
    self_hosted,
    tokens,
    unsupported,
    webhooks,
    ws,
)

#: Fixed paths stand before those with an id in the same place.
ALL: Final = [
    *search.ROUTES,
    *batches.ROUTES,
    *changes.ROUTES,
    *memories.ROUTES,
    *entities.ROUTES,
    *project.ROUTES,
    *requests.ROUTES,
    *self_hosted.ROUTES,
    *events.ROUTES,
    *ws.ROUTES,
    *webhooks.ROUTES,
    *keys.ROUTES,
    *tokens.ROUTES,
    *unsupported.ROUTES,
    *health.ROUTES,
]
