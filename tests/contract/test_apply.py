"""apply on a real database: equal to the naive model, and the same again when a request comes again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, event

from agents.items import Item
from agents.stages.announce import events_of
from agents.stages.apply import apply
from agents.stages.purge import purge
from infra.postgres import Database
from schemas.events import Event
from schemas.history import ChangeKind, RequestOutcome, RequestStatus
from schemas.identity import memory_id
from schemas.requests import MemoryRequest
from tests.harness.items import item
from tests.unit.naive import NaiveModel
from tests.unit.strategies import requests


def request(**fields: Any) -> MemoryRequest:
    return MemoryRequest.model_validate({"user_id": "alice", **fields})


def purge_all(database: Database, purged: Item, chunk: int) -> RequestOutcome:
    while (outcome := purge(database, purged, chunk)).is_open:
        pass
    return outcome


def run(database: Database, log: Sequence[MemoryRequest], size: int = 5) -> dict[tuple[str, str], list[Event]]:
    """Apply a log in batches; returns the events of each request as they would be announced."""
    events: dict[tuple[str, str], list[Event]] = {}
    batch: list[Item] = []

    def flush() -> None:
        applied, rejected = apply(database, batch)
        assert not rejected
        events.update({one.item.key: events_of(one.outcome, one.history) for one in applied})
        batch.clear()

    for one in log:
        if one.op == "delete_all":
            flush()
            outcome = purge_all(database, item(one), chunk=2)
            history = database.request_history(one.project, one.request_id)
            events[outcome.key] = events_of(outcome, history)
        else:
            batch.append(item(one))
            if len(batch) == size:
                flush()
    flush()
    return events


def renamed(log: Sequence[MemoryRequest], project: str) -> list[MemoryRequest]:
    """The log in projects of its own, so that examples do not meet in one database."""
    renamed_log: list[MemoryRequest] = []
    for one in log:
        fields = one.canonical() | {"project": f"{project}-{one.project}"}
        renamed_log.append(MemoryRequest.model_validate(fields))
    return renamed_log


_examples = iter(range(1_000_000))


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(log=requests(barriers=True), size=st.integers(1, 10))
def test_apply_equals_the_naive_model_and_repeats_the_same_events(
    database: Database, log: list[MemoryRequest], size: int
) -> None:
    # Memory ids depend on the project, so updates name nothing in the renamed log: that is the not-found case.
    log = renamed(log, f"e{next(_examples)}") if len(log) % 2 else _with_ids(log, f"e{next(_examples)}")
    model = NaiveModel()
    model.apply_all(log)

    events = run(database, log, size)

    rows = database.current(list(model.rows))
    assert rows.keys() == model.rows.keys()
    for id, naive in model.rows.items():
        row = rows[id]
        assert (row.text, row.metadata, row.version) == (naive.text, naive.metadata, naive.version)
        assert row.vector == naive.vector
        assert (row.deleted_at is not None, row.expires_at) == (naive.deleted, naive.expires)
        history = database.history(row.scope.project, id)
        assert [entry.kind for entry in history] == [version.kind for version in model.versions[id]]
        assert [entry.memory.version for entry in history] == list(range(1, row.version + 1))
    for key, (_, changes) in model.outcomes.items():
        outcome = database.outcome(*key)
        assert outcome is not None
        assert outcome.changes == changes
        assert len(events[key]) == max(changes, 1)

    assert run(database, log, size=7) == events
    assert database.current(list(model.rows)) == rows


def _with_ids(log: Sequence[MemoryRequest], project: str) -> list[MemoryRequest]:
    """As ``renamed``, with memory ids that follow the new names."""
    ids: dict[UUID, UUID] = {}
    renamed_log: list[MemoryRequest] = []
    for one in renamed(log, project):
        old = log[len(renamed_log)]
        if one.op == "add":
            for index in range(len(one.contents)):
                ids[memory_id(old.project, old.request_id, index)] = memory_id(one.project, one.request_id, index)
        elif one.memory_id in ids:
            one = one.model_copy(update={"memory_id": ids[one.memory_id]})
        renamed_log.append(one)
    return renamed_log


def test_versions_that_share_large_metadata_are_written_in_several_statements(database: Database) -> None:
    large = {"a": "y" * 700_000}
    first = request(request_id="large", op="add", text="x", metadata=large)
    id = memory_id(first.project, first.request_id, 0)
    changes = [
        request(request_id=f"change {number}", op="update", memory_id=id, text=f"text {number}")
        for number in range(4)
    ]
    others = [request(request_id=f"other {number}", op="add", text="x", metadata=large) for number in range(3)]
    sizes: list[int] = []

    @event.listens_for(Engine, "before_cursor_execute")
    def note(_: Any, __: Any, ___: Any, parameters: dict[str, Any], *____: Any) -> None:
        sizes.append(sum(len(value) for value in parameters.values() if isinstance(value, str)))

    try:
        applied, rejected = apply(database, [item(one) for one in (first, *changes, *others)])
    finally:
        event.remove(Engine, "before_cursor_execute", note)
    assert not rejected
    # One row of each table at most: a version holds its metadata, and that before it.
    assert max(sizes) < 5 * 700_000
    assert sum(sizes) > 10 * 700_000
    assert [one.outcome.changes for one in applied] == [1] * 8
    assert [entry.memory.text for entry in database.history(first.project, id)] == [
        "x",
        *(f"text {number}" for number in range(4)),
    ]
    rows = database.current([id, *(memory_id(one.project, one.request_id, 0) for one in others)])
    assert [row.metadata for row in rows.values()] == [large] * 4


def test_numbers_keep_their_bytes_in_repeated_events(database: Database) -> None:
    metadata = {"a": 1e2, "b": 100, "c": 0.1, "d": -0.0, "e": 1e300, "f": 12345678901234567890}
    log = [
        request(request_id="a", op="add", text="tea", metadata=metadata),
        request(request_id="b", op="add", text="Grüße 🌍", metadata={"z": 1, "a": {"y": 1, "b": 2}}),
    ]
    events = run(database, log)
    assert run(database, log) == events


def test_an_update_to_what_stands_already_is_unchanged(database: Database) -> None:
    add = request(request_id="a", op="add", text="tea", vector=[0.1, 0.2, 0.3])
    run(database, [add])
    id = database.request_history("default", "a")[0].memory.id
    same = request(request_id="b", op="update", memory_id=id, text="tea", vector=[0.1, 0.2, 0.3])
    [event] = run(database, [same])[same.project, "b"]
    assert event.type == "agentmem.request.unchanged"
    other = request(request_id="c", op="update", memory_id=id, text="tea", vector=[0.3, 0.2, 0.1])
    [event] = run(database, [other])[other.project, "c"]
    assert event.type == "agentmem.memory.updated"


def test_a_request_id_used_again_for_another_request_is_rejected(database: Database) -> None:
    first = request(request_id="a", op="add", text="tea")
    other = request(request_id="a", op="add", text="coffee")
    for batch in ([first, other], [other, first], [other]):
        applied, rejected = apply(database, [item(one) for one in batch])
        texts = {entry.memory.text for one in applied for entry in one.history}
        assert texts <= {"tea"}
        assert [one.item.request for one in rejected if one.item] == [other]
        assert rejected[0].error.reason == "request_id_conflict"


def test_an_open_row_of_another_request_is_not_closed_by_a_record_that_is_not_its_own(database: Database) -> None:
    accepted = request(request_id="a", op="add", text="tea")
    database.accept(accepted)
    stranger = request(request_id="a", op="add", text="coffee")
    applied, rejected = apply(database, [item(stranger), item(accepted)])
    assert [one.item.request for one in rejected if one.item] == [stranger]
    assert [one.item.request for one in applied] == [accepted]


def test_delete_all_takes_thousands_in_chunks_and_leaves_the_others(database: Database) -> None:
    messages = [{"content": f"text {number}"} for number in range(1000)]
    adds = [request(request_id=f"a{number}", op="add", messages=messages, run_id="r") for number in range(3)]
    other = request(request_id="b", op="add", text="stays", user_id="alice-2")
    run(database, [*adds, other])
    purged = item(request(request_id="c", op="delete_all", user_id="alice"))
    outcome = purge_all(database, purged, chunk=700)
    assert (outcome.status, outcome.changes) == (RequestStatus.SUCCEEDED, 3000)
    assert purge_all(database, purged, chunk=700) == outcome
    history = database.request_history("default", "c", limit=5000)
    assert [entry.index for entry in history] == list(range(3000))
    assert {entry.kind for entry in history} == {ChangeKind.DELETED}


def test_delete_all_goes_on_where_a_crash_left_it(database: Database) -> None:
    run(database, [request(request_id="a", op="add", messages=[{"content": str(n)} for n in range(5)])])
    purged = item(request(request_id="c", op="delete_all"))
    assert purge(database, purged, 2).status is RequestStatus.RUNNING
    run(database, [request(request_id="b", op="add", text="came in between")])
    outcome = purge_all(database, purged, chunk=2)
    assert outcome.changes == 6
    assert [entry.index for entry in database.request_history("default", "c")] == list(range(6))
