"""New settings for a worker and a gateway that run."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from agentmem.exit_codes import ExitCode
from tests.acceptance.command import TIMEOUT_S, Agentmem, Running


def logged(running: Running, *words: str) -> str:
    """The first line with all of these words; waits for it."""
    deadline = time.monotonic() + TIMEOUT_S
    while time.monotonic() < deadline:
        assert running.process.poll() is None, running.lines
        for line in list(running.lines):
            if all(word in line for word in words):
                return line
        time.sleep(0.05)
    raise AssertionError(f"no line with {words} in {running.lines}")


def write(file: Path, size: int, quota: int) -> None:
    new = file.with_suffix(".new")
    new.write_text(f"[window]\nmax_records = {size}\n[gateway]\nrate_key = {quota}\n")
    new.replace(file)


@pytest.mark.parametrize(
    ("command", "started", "setting", "new"),
    [("worker", "worker started", "window.max_records", "7"), ("gateway", "listens on", "gateway.rate_key", "70")],
)
def test_a_process_follows_its_file_and_obeys_a_signal(
    configured: Agentmem, command: str, started: str, setting: str, new: str
) -> None:
    file = configured.folder / "agentmem.toml"
    write(file, 5, 50)
    with configured.running("--config", str(file), command) as running:
        logged(running, started)
        write(file, 7, 70)
        assert f'"new": {new},' in logged(running, "a setting has changed", setting)
        file.write_text("[window]\nmax_records = 0\n[gateway]\nrate_key = -1\n")
        running.process.send_signal(signal.SIGHUP)
        assert setting in logged(running, "the settings were refused")
        # What belongs to the other process is nothing that this one changes.
        other = "gateway.rate_key" if command == "worker" else "window.max_records"
        assert not [line for line in running.lines if "has changed" in line and other in line]
        assert running.interrupt() == ExitCode.OK
