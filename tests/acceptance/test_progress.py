"""How far a command is, as somebody at a terminal sees it."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from datetime import UTC, datetime
from threading import Thread

from agentmem.exit_codes import ExitCode
from infra.postgres import PostgresSettings
from infra.postgres.migrate import downgrade, status
from tests.acceptance.command import TIMEOUT_S, Agentmem

_CHAT = b"".join(b'{"role": "user", "content": "number %d"}\n' % number for number in range(3))


def watched(command: Agentmem, *arguments: str) -> str:
    """What a command that ends well writes to a terminal, less what is its result."""
    ours, theirs = pty.openpty()
    shown: list[bytes] = []

    def read() -> None:
        while True:
            try:
                shown.append(os.read(ours, 4_096))
            except OSError:  # so a terminal ends that nobody writes to any more
                return

    reader = Thread(target=read)
    reader.start()
    try:
        done = subprocess.run(
            [sys.executable, "-m", "agentmem", *arguments],
            cwd=command.folder,
            env={**command.environment, "TERM": "xterm"},
            stdout=subprocess.PIPE,
            stderr=theirs,
            timeout=TIMEOUT_S,
            check=False,
        )
    finally:
        os.close(theirs)
        reader.join()
        os.close(ours)
    text = b"".join(shown).decode()
    assert done.returncode == ExitCode.OK, text
    assert done.stdout
    return text


def test_migrations(agentmem: Agentmem, postgres_settings: PostgresSettings) -> None:
    command = agentmem.with_environment(AGENTMEM_POSTGRES_DSN=postgres_settings.dsn.get_secret_value())
    first, *_, last = applied = status(postgres_settings).applied
    shown = watched(command, "migrate", "down", first, "--yes")
    assert f"{len(applied) - 1} of {len(applied) - 1}" in shown
    downgrade(postgres_settings)
    shown = watched(command, "migrate")
    assert f"migration {last}" in shown
    assert f"{len(applied)} of {len(applied)}" in shown


def test_memories(system: Agentmem) -> None:
    assert system("import", "-", "--user", "alice", "--wait", stdin=_CHAT).code == ExitCode.OK
    assert "3 of 3" in watched(system, "history", "--user", "alice", "--as-of", datetime.now(UTC).isoformat())
    assert "3 of 3" in watched(system, "verify", "--json")
    assert "3 of 3" in watched(system, "rebuild", "--keep", "0")
