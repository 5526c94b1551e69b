"""Reads of large memories are bounded in bytes."""

from __future__ import annotations

import pytest

from agents.stages.apply import apply
from infra.postgres import Database
from infra.postgres.bounded import READ_MAX_BYTES, TooLargeError
from schemas.scope import Scope
from tests.contract.test_database import item

_ALICE = Scope("default", "alice")
_ROWS = 25


@pytest.mark.parametrize("field", ["text", "metadata"])
def test_no_read_has_more_than_fits(database: Database, field: str) -> None:
    value = "€" * (READ_MAX_BYTES // 3 // _ROWS)
    large = {"text": value} if field == "text" else {"text": "likes tea", "metadata": {"large": value}}
    ids = [apply(database, [item(**large)])[0][0].history[0].memory.id for _ in range(_ROWS + 1)]

    with pytest.raises(TooLargeError):
        database.list_memories(_ALICE, limit=100)
    with pytest.raises(TooLargeError):
        database.browsing.first_matching(_ALICE, None, False, ids, len(ids))
    total, first = database.list_memories(_ALICE, limit=_ROWS - 1)
    _, rest = database.list_memories(_ALICE, limit=100, offset=_ROWS - 1)
    assert total == len(ids)
    assert [memory.id for memory in [*first, *rest]] == ids[::-1]
    few = database.browsing.first_matching(_ALICE, None, False, ids, _ROWS - 1)
    assert [memory.id for memory in few] == ids[: _ROWS - 1]
