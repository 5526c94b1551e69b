"""The requests of the fault matrix: what must come out of them follows from the order within each key."""

from __future__ import annotations

from random import Random

import pytest

from schemas.requests import MemoryRequest
from tests.harness.kafka import Message
from tests.harness.workload import Workload
from tests.unit.naive import NaiveModel


@pytest.fixture(scope="module")
def messages() -> list[Message]:
    return list(Workload(Random(7), 4, users=10, purges=5).messages(3_000))


def applied(messages: list[Message]) -> NaiveModel:
    model = NaiveModel()
    model.apply_all(MemoryRequest.model_validate_json(one.value or b"") for one in messages)
    return model


def test_keys_may_come_in_any_order(messages: list[Message]) -> None:
    key_by_key = sorted(messages, key=lambda one: one.key or b"")
    one, other = applied(messages), applied(key_by_key)
    assert (one.rows, one.versions, one.outcomes) == (other.rows, other.versions, other.outcomes)


def test_each_kind_of_owner_changes_its_own_memories(messages: list[Message]) -> None:
    assert {b"default/user:user-0", b"another/user:user-0", b"default/agent:agent-4"} <= {m.key for m in messages}
    model = applied(messages)
    for kind in ("added", "updated", "deleted"):
        changed = [one.row.scope for all in model.versions.values() for one in all if one.kind == kind]
        assert {project for project, *_ in changed} == {"default", "another"}
        assert any(user is None and agent for _, user, agent, *_ in changed)


def test_of_one_user_all_requests_have_one_key() -> None:
    assert {one.key for one in Workload(Random(7), 4, users=1).messages(200)} == {b"default/user:user-0"}
