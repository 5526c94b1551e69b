"""Log lines in a file: JSON with what is bound, rotated by size."""

from __future__ import annotations

import json
import logging
import time
from pathlib import Path

import pytest
import structlog
from structlog.contextvars import bound_contextvars

from agentmem.logs import configure_logging
from agentmem.settings import LogSettings
from schemas.problems import MisconfiguredError

pytestmark = pytest.mark.usefixtures("logging_as_before")


def test_a_line_has_what_is_bound_whoever_logs_it(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    configure_logging(LogSettings(file=path))
    with bound_contextvars(request_id="r1"):
        structlog.get_logger("ours").info("hello", project="p")
        logging.getLogger("theirs").warning("there %s", 1)
        logging.getLogger("httpx").info("chatter")
    try:
        raise ValueError("why")
    except ValueError:
        logging.getLogger("theirs").exception("failed")
    ours, theirs, failure = [json.loads(line) for line in path.read_text().splitlines()]
    assert (ours["event"], ours["request_id"], ours["project"], ours["level"]) == ("hello", "r1", "p", "info")
    assert (theirs["event"], theirs["request_id"], theirs["logger"]) == ("there 1", "r1", "theirs")
    assert "ValueError: why" in failure["exception"]
    assert "request_id" not in failure


def test_the_file_is_rotated_and_old_ones_go(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    configure_logging(LogSettings(file=path, max_mib=1, backups=2))
    for _ in range(50):
        logging.getLogger("theirs").warning("x" * 100_000)
    assert {found.name for found in tmp_path.iterdir()} == {"x.log", "x.log.1", "x.log.2"}
    assert all(found.stat().st_size <= 1024 * 1024 for found in tmp_path.iterdir())


def test_a_folder_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(MisconfiguredError, match=r"set log\.file to another path"):
        configure_logging(LogSettings(file=tmp_path / "none" / "x.log"))


def test_what_a_library_repeats_is_shown_a_few_times_and_then_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, now = tmp_path / "x.log", time.monotonic()
    monkeypatch.setattr("agentmem.logs.time.monotonic", lambda: now)
    configure_logging(LogSettings(file=path))
    library = logging.getLogger("aiokafka.conn")
    for number in range(100):
        library.warning("Unable to connect to %s", f"127.0.0.1:{number}")
        logging.getLogger("ours").warning("each of these")
    library.warning("another message")
    now += 61
    library.warning("Unable to connect to %s", "kafka:1")
    events = [json.loads(line)["event"] for line in path.read_text().splitlines()]
    assert events.count("each of these") == 100
    assert sum(event.startswith("Unable") for event in events) == 6
    assert events[-2:] == ["another message", "Unable to connect to kafka:1 (95 more like this in the last 61 s)"]
