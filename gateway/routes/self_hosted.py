"""The paths of mem0's self-hosted server, for callers that were written for it."""

from __future__ import annotations

from typing import Final

from gateway.http.routing import Route
from gateway.routes import changes, memories, search

ROUTES: Final = [
    Route("POST", "/memories", memories.add_and_wait, "write"),
    Route("GET", "/memories", memories.list_by_query, "read"),
    Route("DELETE", "/memories", changes.delete_by_scope, "write"),
    Route("GET", "/memories/{memory_id}", memories.get, "read"),
    Route("PUT", "/memories/{memory_id}", changes.update, "write"),
    Route("DELETE", "/memories/{memory_id}", changes.delete, "write"),
    Route("GET", "/memories/{memory_id}/history", memories.history, "read"),
    Route("POST", "/search", search.search, "read"),
    Route("POST", "/reset", changes.reset, "admin"),
]
