"""``agentmem export``, its way back through ``agentmem import``, and ``agentmem history`` of a past moment."""

from __future__ import annotations

import gzip
import json
import signal
import stat
from typing import Any

from sqlalchemy import text

from agentmem.exit_codes import ExitCode
from infra.postgres import Database, PostgresSettings
from schemas.identity import memory_id
from schemas.scope import Scope
from schemas.times import format_instant
from tests.acceptance.command import TIMEOUT_S, Agentmem
from tests.contract.test_database import add as stored
from tests.harness.databases import until_it_waits

KEPT = ("text", "role", "name", "metadata", "created_at", "expiration_date", "user_id", "run_id", "vector")


def add(request_id: str, **fields: Any) -> dict[str, Any]:
    return {"request_id": request_id, "op": "add", "user_id": "alice", **fields}


def bring(agentmem: Agentmem, *requests: dict[str, Any]) -> None:
    lines = "\n".join(json.dumps(request) for request in requests).encode()
    done = agentmem("import", "-", "--wait", stdin=lines)
    assert done.code == ExitCode.OK, done.err


def lines(output: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.split("\n") if line]


def test_there_and_back(system: Agentmem, postgres_settings: PostgresSettings) -> None:
    vector = [1.0] + [0.0] * 383
    spoken = {"role": "assistant", "name": "Zoë", "content": "tea\nor \u2028 coffee", "timestamp": 1767225600}
    bring(
        system,
        add("a", messages=[spoken], metadata={"n": 1e3, "deep": [None, {"x": True}]}, run_id="r"),
        add("b", text="with a vector", vector=vector, expiration_date="2020-01-01"),
        add("c", text="goes"),
        add("d", text="changes"),
        add("e", text="another person's", user_id="bob"),
    )
    gone, changed = (str(memory_id("default", name, 0)) for name in "cd")
    bring(system, {"request_id": "c-", "op": "delete", "memory_id": gone})
    bring(system, {"request_id": "d2", "op": "update", "memory_id": changed, "text": "changed"})

    everything = lines(system("export").out)
    assert len(everything) == 4
    mine = system("export", "--user", "alice", "--history")
    assert mine.err == "3 memories\n"
    found = {line["text"]: line for line in lines(mine.out)}
    assert found.keys() == {spoken["content"], "with a vector", "changed"}
    assert [one["text"] for one in found["changed"]["history"]] == ["changes", "changed"]
    assert found["with a vector"]["vector"] == vector
    assert json.loads(system("export", "--user", "alice", "--dry-run", "--json").out) == {"memories": 3}

    file = system.folder / "alice.jsonl.gz"
    done = system("export", str(file), "--user", "alice", "--json")
    assert (done.code, json.loads(done.out), done.err) == (ExitCode.OK, {"memories": 3}, "")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert len(lines(gzip.decompress(file.read_bytes()).decode())) == 3

    # Back, into a project of its own: all of it but ids, versions and the past.
    moved = [{**line, "project": "copy"} for line in lines(gzip.decompress(file.read_bytes()).decode())]
    for _ in range(2):
        bring(system, *moved)
    copies = lines(system("export", "--project", "copy").out)

    def content(line: dict[str, Any]) -> str:
        return json.dumps([line.get(name) for name in KEPT])

    assert sorted(map(content, copies)) == sorted(map(content, moved))
    database = Database(postgres_settings)
    try:
        assert database.list_memories(Scope("copy", "alice"), limit=9, show_expired=True)[0] == 3
    finally:
        database.close()


def test_a_past_moment(system: Agentmem, postgres_settings: PostgresSettings) -> None:
    bring(system, add("a", text="first"), add("b", text="goes"), add("c", text="bob's", user_id="bob"))
    database = Database(postgres_settings)
    try:
        moment = format_instant(database.now())
    finally:
        database.close()
    first, gone = (str(memory_id("default", name, 0)) for name in "ab")
    bring(
        system,
        {"request_id": "a2", "op": "update", "memory_id": first, "text": "second"},
        {"request_id": "b-", "op": "delete", "memory_id": gone},
        add("d", text="later"),
    )

    def texts(*arguments: str) -> set[str]:
        done = system("history", *arguments, "--json")
        assert done.code == ExitCode.OK, done.err
        return {one["memory"] for one in json.loads(done.out)}

    assert texts("--user", "alice", "--as-of", moment) == {"first", "goes"}
    assert texts("--user", "alice", "--as-of", "2000-01-01") == set()
    assert texts(first, "--as-of", moment) == {"first"}
    table = system("history", "--user", "alice", "--as-of", moment).out.splitlines()
    assert {line.split("\t")[3] for line in table} == {"first", "goes"}
    then = lines(system("export", "--user", "alice", "--as-of", moment, "--history").out)
    assert {line["text"] for line in then} == {"first", "goes"}
    assert all(len(line["history"]) == 1 for line in then)
    for wrong in ((), ("--user", "alice"), (first, "--user", "alice"), ("--user", "alice", "--as-of", "soon")):
        assert system("history", *wrong).code == ExitCode.USAGE


def test_a_file_that_cannot_be_finished_is_not_there(configured: Agentmem, closed_port: int) -> None:
    file = configured.folder / "out.jsonl"
    file.write_text("before")
    down = configured("export", str(file), AGENTMEM_POSTGRES_DSN=f"postgresql://127.0.0.1:{closed_port}/x")
    assert down.code == ExitCode.UNAVAILABLE
    assert file.read_text() == "before"
    assert [path.name for path in configured.folder.iterdir()] == ["out.jsonl"]
    assert configured("export", "no/such/folder/x").code == ExitCode.USAGE


def test_interrupted_it_leaves_nothing(configured: Agentmem, postgres_settings: PostgresSettings) -> None:
    database = Database(postgres_settings)
    try:
        stored(database)
        # Whoever locks the table holds up the reader.
        with database._connection() as connection:
            connection.execute(text("LOCK TABLE memories IN ACCESS EXCLUSIVE MODE"))
            with configured.running("export", str(configured.folder / "out.jsonl")) as running:
                until_it_waits(postgres_settings.dsn.get_secret_value(), "relation", TIMEOUT_S)
                running.process.send_signal(signal.SIGINT)
                assert running.process.wait(TIMEOUT_S) == ExitCode.INTERRUPTED
    finally:
        database.close()
    assert list(configured.folder.iterdir()) == []
