from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from schemas.identity import event_id, memory_id
from schemas.scope import ENTITY_FIELDS, Scope
from tests.unit.schemas_strategies import ids

scopes = st.builds(Scope, ids, *(st.none() | ids for _ in ENTITY_FIELDS))


def what_orders(scope: Scope) -> tuple[str, tuple[str, str] | None]:
    return scope.project, next(iter(scope.ids.items()), None)


@given(scopes, scopes)
def test_keys_are_equal_only_for_the_same_project_kind_and_id(one: Scope, other: Scope) -> None:
    assert (one.key == other.key) == (what_orders(one) == what_orders(other))


@given(scopes)
def test_a_key_is_plain_ascii(scope: Scope) -> None:
    assert scope.key.isascii()
    assert scope.key.count("/") == (1 if scope.ids else 0)


def test_the_first_id_present_names_the_key() -> None:
    assert Scope("p", "u", "a", "b", "r").key == "p/user:u"
    assert Scope("p", agent_id="a", run_id="r").key == "p/agent:a"
    assert Scope("p", app_id="b", run_id="r").key == "p/app:b"
    assert Scope("my project", run_id="2030/01 é").key == "my%20project/run:2030%2F01%20%C3%A9"
    assert Scope("p").key == "p"


@given(scopes, scopes)
def test_covering_is_matching_every_id_named(one: Scope, other: Scope) -> None:
    assert one.covers(one)
    assert Scope(one.project).covers(one)
    expected = one.project == other.project and one.ids.items() <= other.ids.items()
    assert one.covers(other) == expected


@given(st.tuples(ids, ids, st.integers(0, 9)), st.tuples(ids, ids, st.integers(0, 9)))
def test_ids_differ_whenever_what_they_are_made_of_differs(
    one: tuple[str, str, int], other: tuple[str, str, int]
) -> None:
    assert (memory_id(*one) == memory_id(*other)) == (one == other)
    assert (event_id(*one, "added") == event_id(*other, "added")) == (one == other)
    assert event_id(*one, "added") not in (event_id(*one, "deleted"), memory_id(*one))


def test_ids_never_change() -> None:
    assert str(memory_id("default", "r1", 0)) == "a97d01eb-7e91-528d-95ed-65ec85814434"
    assert str(event_id("default", "r1", 0, "agentmem.memory.added")) == "0769d0e9-230b-5e84-a049-e4b0305a65fa"
