"""``agentmem dlq`` on real stores: what is listed, shown, replayed and dropped, and what comes of it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import orjson
import pytest

from agentmem.exit_codes import ExitCode
from infra.postgres import Database
from infra.postgres.audit import AuditEntry
from schemas.history import RequestStatus
from schemas.identity import memory_id
from schemas.requests import MemoryRequest
from tests.acceptance.command import Agentmem, Result
from tests.harness.kafka import Message, caught_up, publish, read_topic
from tests.harness.observed import observe
from tests.harness.system import System
from tests.harness.systems import new_system
from tests.harness.waiting import eventually
from tests.harness.workload import message

WITHIN_S = 180
NASTY = b'{"op":"add", \x1b[31m \xff\xfe'
HEADERS = (("mine", b"\x00\xff"), ("mine", b""), ("traceparent", b"00-" + b"a" * 32 + b"-" + b"b" * 16 + b"-01"))


@pytest.fixture
def system(stores: Mapping[str, str], tmp_path: Path) -> Iterator[System]:
    with new_system(stores, tmp_path, partitions=2) as made:
        made.start_worker({"worker.republish_after_s": "1"})
        yield made


@pytest.fixture
def dlq(system: System) -> Agentmem:
    return Agentmem(system.folder, system.environment())


@pytest.fixture
def database(system: System) -> Iterator[Database]:
    with closing(Database(system.postgres)) as opened:
        yield opened


def add(request_id: str, **fields: Any) -> dict[str, Any]:
    return {"request_id": request_id, "op": "add", "user_id": "alice", "text": f"text of {request_id}", **fields}


def short(request_id: str = "short", **fields: Any) -> dict[str, Any]:
    """A request that fails for its vector, and so has a row that says so."""
    return add(request_id, vector=[0.5, 0.5], **fields)


async def send(system: System, *messages: Message) -> None:
    await publish(system, messages)
    await caught_up(system, WITHIN_S)


def listed(dlq: Agentmem, *options: str) -> list[dict[str, Any]]:
    result = dlq("dlq", "list", "--json", *options)
    assert result.code == ExitCode.OK, result.err
    return [json.loads(line) for line in result.out.splitlines()]


def replay(
    dlq: Agentmem, *arguments: str, code: ExitCode = ExitCode.OK, editor: str = "false"
) -> list[dict[str, Any]]:
    result: Result = dlq.with_environment(EDITOR=editor)("dlq", "replay", "--json", *arguments)
    assert result.code == code, result.out + result.err
    return [json.loads(line) for line in result.out.splitlines()]


def killed_after(lines: int, agentmem: Agentmem, *arguments: str) -> list[dict[str, Any]]:
    """Kill a command that has told so much, and perhaps a page more; returns all that it told."""
    command = [sys.executable, "-m", "agentmem", *arguments]
    # Who tells of one after the other waits when the pipe is full.
    with subprocess.Popen(
        command,
        cwd=agentmem.folder,
        env=dict(agentmem.environment),
        stdout=subprocess.PIPE,
        bufsize=0,
        pipesize=4_096,
    ) as running:
        assert running.stdout is not None
        told = [running.stdout.readline() for _ in range(lines)]
        running.kill()
        told += running.stdout.readlines()
    return [json.loads(line) for line in told]


async def test_what_is_listed_and_shown(system: System, dlq: Agentmem) -> None:
    await send(
        system,
        Message(b"shop/user:%C3%A4", NASTY, HEADERS),
        message(short()),
        message(add("fine", project="other")),
        message(add("conflict")),
    )
    await send(system, message(add("conflict", text="another one")))
    found = {row["reason"]: row for row in listed(dlq)}
    assert found.keys() == {"invalid_utf8", "invalid_vector", "request_id_conflict"}
    assert [row["time"] for row in listed(dlq)] == sorted(row["time"] for row in listed(dlq))
    nasty = found["invalid_utf8"]
    assert (nasty["project"], nasty["request_id"], nasty["stage"]) == ("shop", None, "decode")
    assert (found["invalid_vector"]["project"], found["invalid_vector"]["request_id"]) == ("default", "short")

    def reasons(*options: str) -> set[str]:
        return {row["reason"] for row in listed(dlq, *options)}

    assert reasons("--reason", "invalid_utf8", "--reason", "invalid_vector") == {"invalid_utf8", "invalid_vector"}
    assert reasons("--stage", "apply") == {"request_id_conflict"}
    assert reasons("--project", "shop") == {"invalid_utf8"}
    assert reasons("--since", found["request_id_conflict"]["time"]) == {"request_id_conflict"}
    assert reasons("--until", found["request_id_conflict"]["time"]) == {"invalid_utf8", "invalid_vector"}
    assert reasons("--source", nasty["source"]) == {"invalid_utf8"}
    assert reasons("--source", system.topics.requests) == found.keys()
    assert reasons("--source", system.topics.requests[:-1]) == set()
    assert len(listed(dlq, "-n", "2")) == 2

    shown = dlq("dlq", "show", nasty["id"])
    assert shown.code == ExitCode.OK
    assert "\x1b" not in shown.out
    assert "\\xff\\xfe" in shown.out
    document = json.loads(dlq("dlq", "show", nasty["id"], "--json").out)
    assert document["value"] == {"base64": "eyJvcCI6ImFkZCIsIBtbMzFtIP/+"}
    assert [document["key"], document["headers"][1:]] == [
        "shop/user:%C3%A4",
        [[name, value.decode()] for name, value in HEADERS[1:]],
    ]
    missing = dlq("dlq", "show", "0/999")
    assert (missing.code, missing.out) == (ExitCode.FAILED, "")


async def test_a_request_that_failed_is_replayed_once_its_cause_is_mended(
    system: System, dlq: Agentmem, database: Database
) -> None:
    await send(system, Message(b"default/user:alice", orjson.dumps(short()), HEADERS))
    [letter] = listed(dlq)
    planned = replay(dlq, letter["id"], "--patch", '{"vector": null}', "--dry-run")
    assert [(one["state"], one["reopened"]) for one in planned] == [("planned", True)]
    assert database.outcome("default", "short").status is RequestStatus.FAILED  # type: ignore[union-attr]

    # As it is, it fails again, and is a dead letter again.
    assert replay(dlq, letter["id"])[0]["reopened"]
    await caught_up(system, WITHIN_S)
    [again] = listed(dlq)
    assert again["id"] != letter["id"]
    assert database.outcome("default", "short").status is RequestStatus.FAILED  # type: ignore[union-attr]

    mended = "--patch", '{"vector": null, "metadata": {"mended": true}}'
    assert replay(dlq, again["id"], *mended)[0]["reopened"]
    await caught_up(system, WITHIN_S)
    assert not replay(dlq, again["id"], *mended)[0]["reopened"]
    await caught_up(system, WITHIN_S)
    assert listed(dlq) == []
    assert {row["handled"] for row in listed(dlq, "--all")} == {"replay"}
    seen = await observe(system)
    [memory] = seen.rows.values()
    assert (memory.id, memory.version, memory.metadata) == (memory_id("default", "short", 0), 1, {"mended": True})
    assert memory.id in seen.points
    sent = [(record.key, record.headers) for record in seen.requests]
    assert sent == [(b"default/user:alice", HEADERS)] * 4
    assert [record.value for record in seen.requests[:2]] == [orjson.dumps(short())] * 2
    actions = [entry.action for entry in database.audit.of([f"{system.topics.dead_letters}/{again['id']}"])]
    assert actions == ["request.reopen", "dlq.replay", "dlq.replay"]


async def test_a_selection_that_is_killed_on_the_way_is_finished_by_the_next(
    system: System, dlq: Agentmem
) -> None:
    """What it has said is done; the others, and one that it had no time to tell of, come the next time."""
    count = 150
    await send(system, *(message(short(f"r{number}")) for number in range(count)))
    selected = "dlq", "replay", "--json", "--reason", "invalid_vector", "--patch", '{"vector": null}'
    told = {one["id"] for one in killed_after(5, dlq, *selected)}
    left = {one["id"] for one in listed(dlq)}
    assert left
    assert not told & left
    handled = {row["id"] for row in listed(dlq, "--all") if row["handled"] == "replay"}
    assert len(handled - told) <= 1

    again = replay(dlq, *selected[3:])
    assert {one["id"] for one in again} == left
    await caught_up(system, WITHIN_S)
    assert listed(dlq) == []
    seen = await observe(system)
    assert {memory.text for memory in seen.rows.values()} == {f"text of r{number}" for number in range(count)}
    assert len(seen.rows) == len(seen.points) == count
    assert {len(entries) for entries in seen.history.values()} == {1}


async def test_a_replay_that_died_before_it_published_is_finished_by_a_worker(
    system: System, database: Database
) -> None:
    await send(system, message(short()))
    request = MemoryRequest.model_validate(add("short"))
    database.reopening.reopen(request, AuditEntry("default", "request.reopen", "x", {}, "test"))

    async def applied() -> bool:
        return bool(database.memories("default", [memory_id("default", "short", 0)]))

    await eventually(applied, WITHIN_S, "a worker has published and applied it", system.logs)


async def test_what_no_request_can_be_read_from_is_edited(system: System, dlq: Agentmem) -> None:
    await send(system, Message(b"default/user:alice", orjson.dumps(add("cut"))[:-1]))
    [letter] = listed(dlq)
    [refused] = replay(dlq, letter["id"], code=ExitCode.FAILED)
    assert refused["refused"].startswith("it would be set aside again: invalid_json")
    untouched = dlq("dlq", "replay", letter["id"], "--edit", EDITOR="true")
    assert (untouched.code, untouched.out) == (ExitCode.FAILED, "")
    editor = system.folder / "editor"
    editor.write_text('#!/bin/sh\nsed -i "s/alice/bob/; s/$/}/" "$1"\n')
    editor.chmod(0o755)
    assert replay(dlq, letter["id"], "--edit", editor=str(editor))[0]["state"] == "replayed"
    await caught_up(system, WITHIN_S)
    [memory] = (await observe(system)).rows.values()
    assert (memory.text, memory.scope.user_id) == ("text of cut", "bob")
    # The edit gave it another scope, so it is keyed by that.
    keys = [record.key for record in await read_topic(system, system.topics.requests)]
    assert sorted(keys, key=str) == [b"default/user:alice", b"default/user:bob"]


async def test_an_id_that_stands_for_another_request_needs_another_id(system: System, dlq: Agentmem) -> None:
    await send(system, message(add("one")))
    await send(system, message(add("one", text="another one")))
    [letter] = listed(dlq)
    [refused] = replay(dlq, "--reason", "request_id_conflict", code=ExitCode.FAILED)
    assert "stands for another request" in refused["refused"]
    replay(dlq, "--stage", "apply", "--patch", '{"request_id": "two"}')
    await caught_up(system, WITHIN_S)
    texts = {memory.text for memory in (await observe(system)).rows.values()}
    assert texts == {"text of one", "another one"}
    assert listed(dlq) == []
    assert letter["id"] in {row["id"] for row in listed(dlq, "--all")}


async def test_dropping(system: System, dlq: Agentmem) -> None:
    strange = b'{"request_id": "a\\u0000b", "project": "\\u0000"}'
    await send(system, Message(b"x", NASTY), Message(b"default/user:a", strange))
    before = [row["id"] for row in listed(dlq)]
    assert dlq("dlq", "drop", "--dry-run", "--reason", "invalid_utf8").code == ExitCode.OK
    assert len(listed(dlq)) == 2
    assert dlq("dlq", "drop", *before, "--note", "known").code == ExitCode.OK
    assert dlq("dlq", "drop", *before).code == ExitCode.OK
    assert listed(dlq) == []
    assert {(row["id"], row["handled"]) for row in listed(dlq, "--all")} == {(id, "drop") for id in before}
    assert "known" not in dlq("dlq", "list", "--all").out
    assert dlq("dlq", "drop").code == ExitCode.USAGE
    assert dlq("dlq", "replay", before[0], "--project", "x").code == ExitCode.USAGE
