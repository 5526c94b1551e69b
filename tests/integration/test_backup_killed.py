"""A backup and a restore that are killed in the middle, and done again as the docs say."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from random import Random

import psutil
import psycopg2
import pytest

from agentmem.backup import MANIFEST
from agentmem.exit_codes import ExitCode
from infra.postgres.migrate import downgrade, upgrade
from tests.acceptance.command import Agentmem
from tests.harness.databases import administer, lock_waits
from tests.harness.kafka import caught_up, has_members, publish
from tests.harness.system import System
from tests.harness.waiting import eventually
from tests.harness.workload import Workload, seed
from tests.integration.test_backup import stand

_WITHIN_S = 120
_LOCK = 4711
#: Whoever fills the memories' next table waits for the lock.
_HOLD_UP = (
    "CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS"
    f" 'BEGIN PERFORM pg_advisory_xact_lock({_LOCK}); RETURN NULL; END'",
    "CREATE FUNCTION hold_up() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN"
    " IF EXISTS (SELECT FROM pg_event_trigger_ddl_commands() WHERE object_identity = 'public.memories')"
    " THEN CREATE TRIGGER held BEFORE INSERT ON memories FOR EACH STATEMENT EXECUTE FUNCTION wait(); END IF;"
    " END $$",
    "CREATE EVENT TRIGGER hold_up ON ddl_command_end WHEN TAG IN ('CREATE TABLE') EXECUTE FUNCTION hold_up()",
)


@pytest.fixture
def agentmem(system: System) -> Agentmem:
    return Agentmem(system.folder, system.environment())


@contextmanager
def holding(dsn: str, statement: str) -> Iterator[None]:
    """A session that has done this, and holds the lock that it took."""
    with closing(psycopg2.connect(dsn)) as connection, connection.cursor() as cursor:
        cursor.execute(statement)
        yield


async def killed_when_it_waits(agentmem: Agentmem, dsn: str, kind: str, *arguments: str) -> psutil.Process:
    """Kill a command when Postgres makes it wait for this kind of lock; returns the program that it leaves."""
    with agentmem.running(*arguments) as command:

        async def waits() -> bool:
            assert command.process.poll() is None, command.lines
            return kind in lock_waits(dsn)

        await eventually(waits, _WITHIN_S, "it waits for the lock", lambda: "".join(command.lines))
        [program] = psutil.Process(command.process.pid).children()
        command.process.kill()
        command.process.wait()
        return program


async def test_what_was_killed_midway_is_done_again(system: System, agentmem: Agentmem, tmp_path: Path) -> None:
    dsn, folder = system.postgres.dsn.get_secret_value(), tmp_path / "backup"
    worker = system.start_worker()
    await publish(system, Workload(Random(seed()), 384).messages(300))
    await caught_up(system, _WITHIN_S)
    assert await worker.stop() == ExitCode.OK
    await has_members(system, 0)
    before = stand(system)

    # pg_dump reads this table of Postgres' own, and our own queries do not.
    with holding(dsn, "LOCK TABLE pg_catalog.pg_publication IN ACCESS EXCLUSIVE MODE"):
        left = await killed_when_it_waits(agentmem, dsn, "relation", "backup", str(folder))
        assert left.name() == "pg_dump"
    half = tmp_path / "backup.partial"
    assert not folder.exists()
    assert half.is_dir()
    refused = agentmem("restore", str(half), "--replace")
    assert (refused.code, MANIFEST in refused.err) == (ExitCode.USAGE, True)
    made = agentmem("backup", str(folder))
    assert made.code == ExitCode.OK, made.err
    assert not half.exists()

    # The database is lost; and the restore is killed in the midst of filling the new one.
    downgrade(system.postgres)
    upgrade(system.postgres)
    administer(dsn, *_HOLD_UP)
    with holding(dsn, f"SELECT pg_advisory_lock({_LOCK})"):
        left = await killed_when_it_waits(agentmem, dsn, "advisory", "restore", str(folder))
        assert left.name() == "pg_restore"
        assert left.is_running()
        administer(dsn, "DROP EVENT TRIGGER hold_up")
        restored = agentmem("restore", str(folder), "--replace")
    assert restored.code == ExitCode.OK, restored.err
    assert stand(system) == before
    verified = agentmem("verify", "--settle", "0.5")
    assert verified.code == ExitCode.OK, verified.err


async def test_a_dry_run_refuses_what_the_restore_would(
    system: System, agentmem: Agentmem, tmp_path: Path
) -> None:
    folder = tmp_path / "backup"
    worker = system.start_worker()
    await publish(system, Workload(Random(seed()), 384).messages(20))
    await caught_up(system, _WITHIN_S)
    assert agentmem("backup", str(folder)).code == ExitCode.OK
    later = tmp_path / "later"
    shutil.copytree(folder, later)
    manifest = json.loads((later / MANIFEST).read_text())
    manifest["postgres"]["revision"] = "9999"
    (later / MANIFEST).write_text(json.dumps(manifest))

    def refused(code: ExitCode, why: str, *arguments: str) -> None:
        told = [agentmem("restore", *arguments, *more) for more in ((), ("--dry-run",))]
        assert [one.code for one in told] == [code, code], told
        assert told[0].err == told[1].err
        assert why in told[0].err

    refused(ExitCode.FAILED, "stop all workers", str(folder), "--replace")
    assert await worker.stop() == ExitCode.OK
    await has_members(system, 0)
    refused(ExitCode.MISCONFIGURED, "not empty", str(folder))
    refused(ExitCode.MISCONFIGURED, "later version", str(later), "--replace")
    planned = agentmem("restore", str(folder), "--replace", "--dry-run")
    assert planned.code == ExitCode.OK, planned.err
    memories = json.loads((folder / MANIFEST).read_text())["postgres"]["rows"]["memories"]
    assert planned.out.startswith(f"would restore {memories} memories")
    assert planned.out.endswith(f", in place of {memories}\n")
