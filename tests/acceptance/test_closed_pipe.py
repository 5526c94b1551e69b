"""A command whose reader goes away, as ``head`` does."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys

import pytest

from agentmem.exit_codes import ExitCode
from infra.postgres import Database, PostgresSettings
from streams.settings import KafkaSettings
from tests.acceptance.command import TIMEOUT_S, Agentmem
from tests.acceptance.test_events import publish
from tests.contract.test_database import add


@pytest.mark.parametrize("command", ["config", "export", "events --json"])
def test_a_reader_that_goes_away_ends_a_command_without_a_word(
    configured: Agentmem, kafka_settings: KafkaSettings, postgres_settings: PostgresSettings, command: str
) -> None:
    asyncio.run(publish(kafka_settings, range(1)))
    database = Database(postgres_settings)
    add(database)
    database.close()
    read, write = os.pipe()
    os.close(read)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "agentmem", *command.split()],
            cwd=configured.folder,
            env=dict(configured.environment),
            stdout=write,
            stderr=subprocess.PIPE,
            timeout=TIMEOUT_S,
            check=False,
        )
    finally:
        os.close(write)
    # Not all that was asked for was done: what a command does while it prints may be the half of it.
    assert (done.returncode, done.stderr) == (ExitCode.FAILED, b"")
