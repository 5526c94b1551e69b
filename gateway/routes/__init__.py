"""The operations, by what they are about. ``ALL`` is every route of the gateway.

Each handler is declared with ``@operation`` (``gateway/openapi/operation.py``), from which the OpenAPI document is
made; a test fails for a route without a declaration:

    @operation(body=NewKey, example={"name": "dashboard"}, answers={201: KeyMade}, problems=(404,))
    async def create_key(request): ...

Its docstring is the description (the first sentence the summary), and its module is the tag. Answers are shapes of
``gateway/shapes/`` (each a ``TypedDict``), bodies and queries pydantic models whose fields have descriptions; what
paths name are fields of ``PathParameters``. The errors that any call can have need no mention in ``problems``.
Then run ``python docs/generate.py``.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from gateway.http.routing import ANY, Route
from gateway.routes import (
    batches,
    changes,
    configuration,
    deliveries,
    documents,
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
    *configuration.ROUTES,
    *events.ROUTES,
    *ws.ROUTES,
    *webhooks.ROUTES,
    *deliveries.ROUTES,
    *keys.ROUTES,
    *tokens.ROUTES,
    *unsupported.ROUTES,
    *documents.ROUTES,
    *health.ROUTES,
]


def served(documents_open: bool) -> list[Route]:
    """Every route as a gateway serves it: what describes it may need a credential too."""
    closed = [] if documents_open else documents.ROUTES
    return [replace(route, scope=ANY) if route in closed else route for route in ALL]
