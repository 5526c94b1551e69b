"""From lines to requests: sources, checks and stable ids."""

from __future__ import annotations

import gzip
import io
import json
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from agentmem.exit_codes import CommandError
from agentmem.importing.plan import Checked, check, records
from agentmem.importing.requests import LineError, LineReader, Record
from agentmem.importing.sources import open_source
from schemas.requests import MemoryRequest

ALICE = LineReader("default", {"user_id": "alice"}, 10_000)


def chat(text: str, **fields: Any) -> bytes:
    return json.dumps({"role": "user", "content": text, **fields}).encode()


@contextmanager
def checked(path: Path, reader: LineReader = ALICE, prefix: str = "import") -> Iterator[tuple[Checked, list[str]]]:
    told: list[str] = []
    with closing(open_source(str(path))) as source:
        yield check(source, reader, prefix, told.append, lambda: None), told


def imported(path: Path, reader: LineReader = ALICE, prefix: str = "import") -> list[Record]:
    with checked(path, reader, prefix) as (plan, _):
        return list(records(plan, reader))


class TestLineReader:
    def test_chat_message_becomes_an_add(self) -> None:
        record = ALICE.record(chat("Hi", name="Alice", timestamp="2026-01-02T03:04:05Z"), "r-1")
        request = MemoryRequest.model_validate_json(record.value)
        assert request.op == "add"
        assert request.request_id == "r-1"
        assert request.user_id == "alice"
        assert request.contents[0].name == "Alice"
        assert request.contents[0].timestamp is not None
        assert record.key == b"default/user:alice"

    def test_request_is_published_as_it_is(self) -> None:
        line = b'{"op":  "delete_all", "request_id":"x", "project":"p", "agent_id":"a/b"}'
        assert ALICE.record(line) == Record("p", "x", b"p/agent:a%2Fb", line)

    @pytest.mark.parametrize(
        ("line", "words"),
        [
            (b"{", "not JSON"),
            (b"\xff", "not JSON"),
            (b'"\\ud800"', "not JSON"),
            (b"[]", "not a JSON object"),
            (b'{"text": "x"}', "neither a request"),
            (b'{"content": "x"}', "role"),
            (chat(""), "content"),
            (chat("x", mood="good"), "mood"),
            (chat("x", timestamp="soon"), "timestamp"),
            (chat("a\0b"), "U+0000"),
            (chat("x" * 10_000), "limit is 10000"),
            (b'{"op": "add", "text": "x", "user_id": "u"}', "request_id"),
            (b'{"op": "forget", "request_id": "1"}', "op"),
        ],
    )
    def test_invalid_line_says_why(self, line: bytes, words: str) -> None:
        with pytest.raises(LineError, match=re.escape(words)):
            ALICE.record(line)

    def test_backslash_before_u0000_is_no_nul(self) -> None:
        ALICE.record(chat("a\\u0000b"))

    def test_chat_message_needs_a_scope(self) -> None:
        with pytest.raises(LineError, match="--user"):
            LineReader("default", {}, 1000).record(chat("Hi"))


class TestSource:
    def test_gzip_is_told_by_its_magic(self, tmp_path: Path) -> None:
        plain, zipped = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
        plain.write_bytes(b"one\n\ntwo")
        zipped.write_bytes(gzip.compress(b"one\n") + gzip.compress(b"\ntwo"))
        for path in (plain, zipped):
            source = open_source(str(path))
            for _ in range(2):
                assert [(line.number, line.data) for line in source.lines(100)] == [(1, b"one"), (3, b"two")]
            source.close()

    def test_broken_gzip(self, tmp_path: Path) -> None:
        path = tmp_path / "a.gz"
        path.write_bytes(gzip.compress(b"one\n" * 1000)[:-20])
        source = open_source(str(path))
        with pytest.raises(CommandError, match="broken gzip"):
            list(source.lines(100))
        source.close()

    def test_long_line_is_cut_and_the_next_is_whole(self, tmp_path: Path) -> None:
        path = tmp_path / "a"
        path.write_bytes(b"x" * 35 + b"\n" + b"y" * 10 + b"\nz")
        source = open_source(str(path))
        assert [(line.number, len(line.data), line.too_long) for line in source.lines(10)] == [
            (1, 11, True),
            (2, 10, False),
            (3, 1, False),
        ]
        source.close()

    def test_stdin_is_read_twice(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"one\n")))
        source = open_source("-")
        assert [line.data for line in source.lines(10)] == [line.data for line in source.lines(10)] == [b"one"]
        source.close()

    @pytest.mark.parametrize("name", ["none", "."])
    def test_unreadable(self, tmp_path: Path, name: str) -> None:
        with pytest.raises(CommandError, match=name):
            open_source(str(tmp_path / name))


class TestPlan:
    def test_invalid_lines_are_told_with_their_number(self, tmp_path: Path) -> None:
        path = tmp_path / "a"
        path.write_bytes(b"\n".join([chat("1"), b"", b"nope", chat("2"), b"x" * 20_000]))
        with checked(path) as (plan, told):
            assert (plan.valid, plan.invalid) == (2, 2)
            assert told[0].startswith(f"{path}:3: not JSON")
            assert told[1] == f"{path}:5: the line is longer than 10000 bytes (kafka.request_max_bytes)"
            assert [record.request_id.rpartition(":")[2] for record in records(plan, ALICE)] == ["1", "4"]

    def test_the_same_content_has_the_same_ids(self, tmp_path: Path) -> None:
        first, second = tmp_path / "a", tmp_path / "b.gz"
        first.write_bytes(chat("1") + b"\n" + chat("1"))
        second.write_bytes(gzip.compress(first.read_bytes()))
        ids = [record.request_id for record in imported(first)]
        assert len(set(ids)) == 2
        assert ids == [record.request_id for record in imported(second)]

    @pytest.mark.parametrize(
        ("ids", "project", "prefix", "content"),
        [
            ({"user_id": "bob"}, "default", "import", "1"),
            ({"agent_id": "alice"}, "default", "import", "1"),
            ({"user_id": "alice"}, "other", "import", "1"),
            ({"user_id": "alice"}, "default", "again", "1"),
            ({"user_id": "alice"}, "default", "import", "2"),
        ],
    )
    def test_another_import_has_other_ids(
        self, tmp_path: Path, ids: Mapping[str, str], project: str, prefix: str, content: str
    ) -> None:
        path, other = tmp_path / "a", tmp_path / "b"
        path.write_bytes(chat("1"))
        other.write_bytes(chat(content))
        reader = LineReader(project, ids, 10_000)
        assert imported(path)[0].request_id != imported(other, reader, prefix)[0].request_id

    def test_a_file_that_grows_is_imported_as_it_was(self, tmp_path: Path) -> None:
        path = tmp_path / "a"
        path.write_bytes(chat("1") + b"\n")
        with checked(path) as (plan, _):
            with path.open("ab") as file:
                file.write(chat("2"))
            assert len(list(records(plan, ALICE))) == 1

    def test_a_file_that_changes_is_an_error(self, tmp_path: Path) -> None:
        path = tmp_path / "a"
        path.write_bytes(chat("1"))
        with checked(path) as (plan, _):
            path.write_bytes(chat("2"))
            with pytest.raises(CommandError, match="changed"):
                list(records(plan, ALICE))
