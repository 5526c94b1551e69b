"""Filters in Postgres against their evaluation memory by memory, on random memories and filters."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agents.stages.apply import apply
from gateway.search.filters import parse_filter
from infra.postgres import Database
from schemas.memories import Memory
from schemas.requests import MemoryRequest
from schemas.scope import Scope
from tests.brute_filters import holds
from tests.harness.items import item

_START = datetime(2024, 1, 31, tzinfo=UTC)
# Few and alike, so that memories and filters meet.
_TEXTS = st.sampled_from(
    ["", "a", "A", "aB", "ab", "ä", "ÄA", "σ", "Σ", "%", "_", "a_b", "\\", "'", '"', "*", "€ a"]
)
_IDS = st.sampled_from(["alice", "alice-2", "ALICE", "bob alice", " alice", "%", "a_b"])
_NUMBERS = st.sampled_from([0, 1, -1, 1.0, 1.5, 0.1, 1e22, 2**63])
_SCALARS = _TEXTS | _NUMBERS | st.booleans() | st.none()
_LISTS = st.lists(_SCALARS, max_size=3)
_VALUES = _SCALARS | _LISTS | st.dictionaries(st.sampled_from("xy"), _SCALARS | _LISTS, max_size=1)
_KEYS = st.sampled_from(["k", "k", "k", "K", "a.b", "user_id", "AND", "ü 'x\""])
_TIMES = st.sampled_from(
    ["2024-01-30", "2024-01-31", "2024-02-01", "2024-01-31T00:00:00+00:00", "2024-01-31T12:00:00+00:00"]
)
_ENTITIES = ["user_id", "agent_id", "app_id", "run_id"]


def _mostly(usual: st.SearchStrategy[Any], *others: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.integers(0, 9).flatmap(lambda die: usual if die else st.one_of(*others))


adds: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {
        "user_id": _IDS,
        "metadata": _mostly(
            st.fixed_dictionaries({"k": _VALUES}), st.dictionaries(_KEYS, _VALUES, max_size=3), st.just({})
        ),
        "messages": st.lists(
            st.fixed_dictionaries(
                {"content": _TEXTS.filter(bool), "role": st.sampled_from(["user", "assistant"])},
                optional={"name": _TEXTS.filter(bool)},
            ),
            min_size=1,
            max_size=1,
        ),
        "timestamp": st.integers(-36, 36).map(lambda hours: (_START + timedelta(hours=hours)).isoformat()),
    },
    optional={
        "run_id": _IDS,
        "agent_id": _IDS,
        "expiration_date": st.just("2099-01-31"),
    },
)


def _operators(operand: st.SearchStrategy[Any], *more: tuple[str, st.SearchStrategy[Any]]) -> Any:
    several = st.lists(operand | st.none(), max_size=3)
    choices = [("eq", operand | st.none()), ("ne", operand | st.none()), ("in", several), ("nin", several), *more]
    one = st.one_of(*(st.tuples(st.just(name), values) for name, values in choices))
    compared = st.lists(one, min_size=1, max_size=2).map(dict)
    plain = operand.filter(lambda value: not isinstance(value, dict | list))
    return _mostly(compared, plain, several, st.none(), st.just("*"))


def _orderings(operand: st.SearchStrategy[Any]) -> list[tuple[str, st.SearchStrategy[Any]]]:
    return [(name, operand) for name in ("gt", "gte", "lt", "lte")]


_TEXT_MORE = (*_orderings(_TEXTS), ("contains", _TEXTS), ("icontains", _TEXTS))
_METADATA = _operators(
    _VALUES,
    *_orderings(_NUMBERS | _TEXTS),
    ("contains", st.booleans() | _NUMBERS | _TEXTS),
    ("icontains", _TEXTS),
)
_MEMBERS = st.one_of(
    st.tuples(st.sampled_from(_ENTITIES), _operators(_IDS, *_orderings(_IDS), ("icontains", _IDS))),
    st.tuples(st.sampled_from(["text", "role", "name", "keywords"]), _operators(_TEXTS, *_TEXT_MORE)),
    st.tuples(
        st.sampled_from(["created_at", "updated_at", "expiration_date"]), _operators(_TIMES, *_orderings(_TIMES))
    ),
    st.tuples(st.just("categories"), _operators(_TEXTS, ("contains", _TEXTS))),
    st.tuples(st.just("metadata"), st.dictionaries(_KEYS, _METADATA, max_size=2)),
)
_ONE_KEY = st.tuples(st.just("metadata"), st.fixed_dictionaries({"k": _METADATA}))
_SIMPLE = st.lists(
    st.booleans().flatmap({True: _ONE_KEY, False: _MEMBERS}.__getitem__), min_size=1, max_size=1
).map(dict)
_NESTED = st.recursive(
    _SIMPLE,
    lambda inner: st.dictionaries(
        st.sampled_from(["AND", "OR", "NOT"]), inner | st.lists(inner, min_size=1, max_size=3), min_size=1
    ),
    max_leaves=5,
)
filters: st.SearchStrategy[dict[str, Any]] = st.booleans().flatmap({True: _SIMPLE, False: _NESTED}.__getitem__)


_projects = (f"p{number}" for number in itertools.count())


def stored(database: Database, documents: list[dict[str, Any]]) -> tuple[str, dict[UUID, Memory]]:
    """The memories that these adds make, in a project of their own."""
    project = next(_projects)
    items = [
        item(MemoryRequest.model_validate({"request_id": str(n), "op": "add", "project": project, **one}))
        for n, one in enumerate(documents)
    ]
    applied, rejected = apply(database, items)
    assert not rejected
    return project, {entry.memory.id: entry.memory for one in applied for entry in one.history}


@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(st.lists(adds, min_size=4, max_size=12), st.lists(filters, min_size=10, max_size=25), st.data())
def test_lists_hold_exactly_what_the_filter_holds_for(
    database: Database, documents: list[dict[str, Any]], wanted: list[dict[str, Any]], data: st.DataObject
) -> None:
    project, memories = stored(database, documents)
    some = data.draw(st.lists(st.sampled_from(sorted(map(str, memories))), max_size=2))
    now = database.now()
    for one in [*wanted, {"memory_ids": some}, {"NOT": {"memory_ids": some}}]:
        expected = {id for id, memory in memories.items() if holds(one, memory)}
        where = parse_filter(one, "filters")
        count, found = database.list_memories(Scope(project), 100, where=where)
        assert {memory.id for memory in found} == expected, one
        assert count == len(expected)
        _, then = database.list_memories(Scope(project), 100, where=where, as_of=now)
        assert {memory.id for memory in then} == expected, one
        assert set(database.browsing.matching_ids(Scope(project), where, False, 100)) == expected
        ranked = sorted(memories, reverse=True)
        first = database.browsing.first_matching(Scope(project), where, False, ranked, 2)
        assert [memory.id for memory in first] == [id for id in ranked if id in expected][:2]


_EVERY: list[Any] = [
    *(None, True, False, 0, 1, 1.0, 1.5, -1, 1e22, 2**63),
    *("", "a", "A", "ab", "AB", "ÄB", "äb", "%", "_", "1", "true", "*", "2024-01-31"),
    *([], ["a"], ["A", 1], [["a"]], [None, True], ["ab", {"x": 1}], {}, {"a": 1}, {"x": ["a"]}),
]


def test_every_operator_on_every_type_of_value(database: Database) -> None:
    documents = [{"user_id": "alice", "messages": [{"content": "-"}], "metadata": {"k": one}} for one in _EVERY]
    documents.append({"user_id": "alice", "messages": [{"content": "-"}]})
    project, memories = stored(database, documents)
    scalars = [one for one in _EVERY if isinstance(one, str | int | float)]
    numbers_and_texts = [one for one in scalars if not isinstance(one, bool)]
    operands = {
        **dict.fromkeys(("eq", "ne"), _EVERY),
        **{name: [[], ["a", None], [1, True], [["a"], {}]] for name in ("in", "nin")},
        **dict.fromkeys(("gt", "gte", "lt", "lte"), numbers_and_texts),
        "contains": scalars,
        "icontains": [one for one in scalars if isinstance(one, str)],
    }
    for wanted in [{name: operand} for name, several in operands.items() for operand in several]:
        expected = {id for id, memory in memories.items() if holds({"metadata": {"k": wanted}}, memory)}
        where = parse_filter({"metadata": {"k": wanted}}, "filters")
        found = database.browsing.matching_ids(Scope(project), where, False, 100)
        assert set(found) == expected, wanted
