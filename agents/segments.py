"""What of a batch is stored together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from agents.items import Item, Rejected
from schemas.history import RequestKey
from schemas.sizes import TOGETHER_BYTES, stored_size


def segments(
    entries: Sequence[Item | Rejected], held: Mapping[RequestKey, int]
) -> Iterator[list[Item] | Item | Rejected]:
    """The entries in order: every ``delete_all`` and every rejected record alone, what lies between together.

    Requests that store much do not lie together, nor do those that change large memories: the rows of all that do
    are held at once. ``held`` says of a request, by its key, how many bytes it finds in the store.
    """
    segment: list[Item] = []
    together = 0
    for entry in entries:
        if isinstance(entry, Rejected) or entry.request.op == "delete_all":
            if segment:
                yield segment
            segment, together = [], 0
            yield entry
            continue
        size = stored_size(entry.request) + held.get(entry.key, 0)
        if segment and together + size > TOGETHER_BYTES:
            yield segment
            segment, together = [], 0
        segment.append(entry)
        together += size
    if segment:
        yield segment
