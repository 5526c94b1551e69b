"""``agentmem migrate``: up, down and status."""

from __future__ import annotations

import json
import signal
import socket

from agentmem.exit_codes import ExitCode
from infra.postgres import PostgresSettings
from infra.postgres.engine import lift_limits, make_engine
from infra.postgres.migrate import lock, status
from tests.acceptance.command import TIMEOUT_S, Agentmem
from tests.harness.databases import until_it_waits
from tests.harness.next_schema import REVISION, expand


def test_up_down_and_status(agentmem: Agentmem, postgres_settings: PostgresSettings) -> None:
    command = agentmem.with_environment(AGENTMEM_POSTGRES_DSN=postgres_settings.dsn.get_secret_value())
    *_, before, last = status(postgres_settings).applied
    assert command("migrate").out == "the schema is up to date\n"
    assert json.loads(command("migrate", "status", "--json").out)["revision"] == last

    planned = command("migrate", "down", before, "--dry-run", "--json")
    assert json.loads(planned.out) == {"undone": [], "would_undo": [last]}
    refused = command("migrate", "down", before)
    assert (refused.code, "--yes" in refused.err, status(postgres_settings).revision) == (
        ExitCode.USAGE,
        True,
        last,
    )
    assert command("migrate", "down", "0815").code == ExitCode.USAGE
    assert command("migrate", "down", before, "--yes").out == f"undone {last}\n"

    behind = command("migrate", "status")
    assert (behind.code, f"{last}\tmissing" in behind.out) == (ExitCode.FAILED, True)
    assert command("migrate", "up", "--dry-run").out == f"would apply {last}\n"
    assert json.loads(command("migrate", "--json").out) == {"applied": [last], "missing": []}
    assert command("migrate", "status").code == ExitCode.OK


def test_the_schema_of_a_later_version_is_shown_and_left_alone(
    agentmem: Agentmem, postgres_settings: PostgresSettings
) -> None:
    dsn = postgres_settings.dsn.get_secret_value()
    command = agentmem.with_environment(AGENTMEM_POSTGRES_DSN=dsn)
    expand(dsn)
    shown = command("migrate", "status", "--json")
    assert (shown.code, json.loads(shown.out)["newer"]) == (ExitCode.OK, True)
    assert command("migrate").code == ExitCode.OK
    assert status(postgres_settings).revision == REVISION


def test_one_that_waits_for_another_is_interrupted(
    agentmem: Agentmem, postgres_settings: PostgresSettings
) -> None:
    dsn = postgres_settings.dsn.get_secret_value()
    command = agentmem.with_environment(AGENTMEM_POSTGRES_DSN=dsn)
    engine = make_engine(postgres_settings)
    with engine.begin() as connection:
        lift_limits(connection)  # it is idle until the command waits
        lock(connection)
        with command.running("migrate") as running:
            until_it_waits(dsn, "advisory", TIMEOUT_S)
            running.process.send_signal(signal.SIGINT)
            assert running.process.wait(TIMEOUT_S) == ExitCode.INTERRUPTED
    engine.dispose()


def test_a_server_that_answers_nothing_is_given_up(agentmem: Agentmem) -> None:
    # Takes connections and never answers.
    with socket.create_server(("127.0.0.1", 0)) as silent:
        dsn = f"postgresql://me@127.0.0.1:{silent.getsockname()[1]}/x"
        found = agentmem("migrate", AGENTMEM_POSTGRES_DSN=dsn, AGENTMEM_POSTGRES_CONNECT_TIMEOUT_S="2")
    assert (found.code, "timeout expired" in found.err) == (ExitCode.UNAVAILABLE, True)
