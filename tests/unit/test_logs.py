"""Log lines in a file: JSON with what is bound, rotated by size."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from structlog.contextvars import bound_contextvars

from agentmem.logs import CHATTY, configure_logging
from agentmem.settings import LogSettings
from schemas.problems import MisconfiguredError


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    levels = {name: logging.getLogger(name).level for name in CHATTY}
    yield
    for handler in root.handlers:
        if handler not in handlers:
            handler.close()
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, before in levels.items():
        logging.getLogger(name).setLevel(before)
    structlog.reset_defaults()


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
