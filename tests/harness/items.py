"""Requests as the pipeline's stages take them."""

from __future__ import annotations

from agents.items import Item
from schemas.requests import MemoryRequest
from streams.records import Record


def item(request: MemoryRequest) -> Item:
    """An item of this request; which record it came in does not matter."""
    return Item(Record("t", 0, 0, 0.0, None, b""), request)
