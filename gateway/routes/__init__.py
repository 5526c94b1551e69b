"""The operations, by what they are about. ``ALL`` is every route of the gateway.

Each handler is declared with ``@operation`` (``gateway/openapi/operation.py``), from which the OpenAPI document is
made; a test fails for a route without a declaration:

    @operation(body=NewKey, answers={201: KeyMade}, problems=(404,))
    async def create_key(request): ...

Its docstring is the description (the first sentence the summary), and its module is the tag. Answers are shapes of
``gateway/shapes/`` (a ``TypedDict`` each), bodies and queries pydantic models whose fields have descriptions; names
in paths are fields of ``PathParameters``. The errors that any call can have need no mention in ``problems``. Then run
``python docs/generate.py``.
"""

from __future__ import annotations

from typing import Final

from gateway.routes import (
    batches,
    changes,
    configuration,
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
    *keys.ROUTES,
    *tokens.ROUTES,
    *unsupported.ROUTES,
    *health.ROUTES,
]
