"""The command against real stores, a worker and a gateway."""

from __future__ import annotations

import asyncio
import gzip
import json
import time

from agentmem.exit_codes import ExitCode
from tests.acceptance.command import TIMEOUT_S, Agentmem, Running
from tests.harness.gateways import has_streams

CHAT = b"""{"role": "user", "name": "Alice", "content": "I moved to Lisbon last spring."}
{"role": "assistant", "content": "How is the new job?"}
{"role": "user", "name": "Alice", "content": "I bake sourdough bread every Sunday.", "timestamp": 1767225600}
"""


def wait_for_line(running: Running, text: str) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while not any(text in line for line in running.lines):
        assert time.monotonic() < deadline, running.lines
        assert running.process.poll() is None, running.lines
        time.sleep(0.05)


def test_topics_are_made_once(with_kafka: Agentmem) -> None:
    lines = with_kafka("topics").out.splitlines()
    assert len(lines) == 3
    assert all(line.endswith(": exists") for line in lines)


def test_a_migrated_database_stays_as_it_is(agentmem: Agentmem, postgres_dsn: str) -> None:
    result = agentmem("migrate", AGENTMEM_POSTGRES_DSN=postgres_dsn)
    assert (result.code, result.out) == (ExitCode.OK, "the schema is up to date\n")


def test_import_without_a_worker(with_kafka: Agentmem) -> None:
    """Publishing needs no worker; waiting says that there is none."""
    published = with_kafka("import", "-", "--user", "alice", "--json", stdin=CHAT)
    assert published.code == ExitCode.OK
    assert json.loads(published.out)["published"] == 3

    result = with_kafka("import", "-", "--user", "alice", "--wait", "--timeout", "1", stdin=CHAT)
    assert result.code == ExitCode.UNAVAILABLE
    assert "3 of 3 requests published" in result.err
    assert "is a worker running?" in result.err


def test_import_wait_needs_the_topics(agentmem: Agentmem, kafka_bootstrap: str) -> None:
    result = agentmem(
        "import",
        "-",
        "--user",
        "alice",
        "--wait",
        stdin=CHAT,
        AGENTMEM_KAFKA_BOOTSTRAP_SERVERS=kafka_bootstrap,
        AGENTMEM_KAFKA_TOPIC_PREFIX="nobody-made-these-",
    )
    assert result.code == ExitCode.MISCONFIGURED
    assert "run 'agentmem topics'" in result.err


def test_the_way_of_a_conversation(system: Agentmem) -> None:
    """Imported, searched, audited, followed, and imported again without a change."""
    (system.folder / "chat.jsonl.gz").write_bytes(gzip.compress(CHAT))
    with system.running("tail", "--user", "alice") as tail:
        asyncio.run(has_streams(system.environment["AGENTMEM_URL"], 1))
        first = system("import", "chat.jsonl.gz", "--user", "alice", "--wait", "--json")
        assert first.code == ExitCode.OK, first.err
        summary = json.loads(first.out)
        del summary["seconds"]
        assert summary == {"published": 3, "succeeded": 3, "failed": 0, "unchanged": 0, "skipped": 0}

        found = system("search", "where does she live?", "--user", "alice", "--top-k", "1", "--json")
        (hit,) = json.loads(found.out)["results"]
        assert hit["memory"] == "I moved to Lisbon last spring."

        plain = system("search", "bread", "--user", "alice")
        assert "sourdough" in plain.out.splitlines()[0]
        assert "2026-01-01" in plain.out.splitlines()[0]
        assert system("search", "bread", "--user", "bob").out == ""

        again = system("import", "chat.jsonl.gz", "--user", "alice", "--wait")
        assert again.code == ExitCode.OK
        history = system("history", hit["id"])
        assert [line.split("\t")[1] for line in history.out.splitlines()] == ["ADD"]
        assert system("history", hit["id"], "--json").out.startswith("[{")
        wait_for_line(tail, "user=alice I bake sourdough")
        assert tail.interrupt() == ExitCode.INTERRUPTED


def test_refusals_are_told(system: Agentmem) -> None:
    """What a worker refuses makes the import fail, also where one request id is used twice; so is a wrong key."""
    requests = [
        {"op": "add", "request_id": "r1", "user_id": "carl", "text": "likes tea"},
        {"op": "add", "request_id": "r1", "user_id": "carl", "text": "likes coffee"},
        {"op": "delete", "request_id": "r2", "memory_id": "00000000-0000-0000-0000-000000000001"},
        {"op": "delete_all", "request_id": "r3", "user_id": "nobody"},
    ]
    lines = b"\n".join(json.dumps(request).encode() for request in requests)
    result = system("import", "-", "--wait", stdin=lines)
    assert result.code == ExitCode.FAILED
    assert result.out.startswith("4 published, 1 succeeded, 2 failed, 1 unchanged")
    assert "request r1: request_id_conflict" in result.err
    assert "request r2: not_found" in result.err

    for arguments in (("search", "x", "--user", "carl"), ("tail",)):
        refused = system(*arguments, AGENTMEM_API_KEY="wrong")
        assert refused.code == ExitCode.MISCONFIGURED
        assert "refuses the API key" in refused.err
