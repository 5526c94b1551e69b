from __future__ import annotations

from dataclasses import replace

import orjson
from hypothesis import given

from schemas.events import EventType, change_event
from schemas.jsonvalues import canonical_value
from tests.unit.schemas_samples import ENTRY, EVENTS, MEMORY, OUTCOME
from tests.unit.schemas_strategies import json_values
from tests.unit.test_schemas_requests import as_postgres_spells


def test_each_kind_of_event_has_its_type_and_subject() -> None:
    assert [event.type for event in EVENTS] == list(EventType)
    assert [event.subject for event in EVENTS] == [str(MEMORY.id)] * 3 + [None, str(MEMORY.id)]
    assert {event.key for event in EVENTS} == {"default/user:alice"}
    assert len({event.id for event in EVENTS}) == len(EVENTS)


def test_a_failure_says_why() -> None:
    body = orjson.loads(EVENTS[-1].body)
    assert (body["reason"], body["detail"], body["count"]) == ("not_found", "no", 1)
    assert "memory" not in body


@given(json_values)
def test_a_repeated_event_is_the_same_bytes_after_a_visit_to_postgres(value: object) -> None:
    first = change_event(replace(ENTRY, memory=replace(MEMORY, metadata={"b": value, "a": 1.0})), OUTCOME)
    stored = as_postgres_spells({"a": 1.0, "b": canonical_value(value)})
    again = change_event(replace(ENTRY, memory=replace(MEMORY, metadata=stored)), OUTCOME)
    assert (first.id, first.body) == (again.id, again.body)
