"""A backup of a living system, and what comes out of it after a loss."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from random import Random
from time import monotonic
from typing import Any
from uuid import UUID

import orjson
import psycopg2
import pytest
from aiohttp.test_utils import unused_port
from sqlalchemy import text

from agentmem.actor import actor
from agentmem.backup import tools
from agentmem.backup_audit import backup_starts
from agentmem.exit_codes import ExitCode
from infra.postgres import Database, PostgresSettings
from infra.postgres.migrate import downgrade, upgrade
from schemas.memories import Memory
from tests.acceptance.command import Agentmem, Result
from tests.contract.test_wall import fill, rows
from tests.harness.collections import drop_collections
from tests.harness.databases import administer, owned_database
from tests.harness.gateways import Gateway
from tests.harness.kafka import caught_up, committed, has_members, publish
from tests.harness.load import progressed, under_load
from tests.harness.system import System
from tests.harness.systems import new_system
from tests.harness.workload import Workload, message, seed

_WITHIN_S = 180


@pytest.fixture
def system(stores: Mapping[str, str], tmp_path: Path) -> Iterator[System]:
    (tmp_path / "first").mkdir()
    with new_system(stores, tmp_path / "first") as made:
        yield made


@pytest.fixture
def empty(stores: Mapping[str, str], tmp_path: Path) -> Iterator[System]:
    """Another database, index and topics."""
    (tmp_path / "second").mkdir()
    with new_system(stores, tmp_path / "second") as made:
        yield made


async def call(system: System, *arguments: str) -> Result:
    return await asyncio.to_thread(Agentmem(system.folder, system.environment()), *arguments)


def stand(system: System) -> dict[UUID, tuple[object, ...]]:
    """All memories, less the times that a request without a time of its own gets from the clock."""
    with closing(Database(system.postgres)) as database:
        found: dict[UUID, Memory] = database.current(database.ids_after(None, 100_000, deleted=True))
    return {
        id: (one.scope, one.text, one.version, one.metadata, one.name, one.deleted_at is None, one.vector)
        for id, one in found.items()
    }


def serving(system: System) -> set[str]:
    """The collections that serve."""
    with closing(Database(system.postgres)) as database:
        return {one.name for one in database.collections.of(system.weaviate.collection) if one.state == "serving"}


def audited(system: System, folder: Path) -> list[tuple[str, dict[str, Any]]]:
    """What the audit has of this backup: in each entry the actor is a user of this machine."""
    with closing(Database(system.postgres)) as database:
        found = database.audit.of([str(folder.resolve())])
    assert {entry.actor for entry in found} <= {actor()}
    return [(entry.action, dict(entry.detail)) for entry in found]


async def test_a_loss_of_postgres_and_weaviate_is_made_good(system: System, empty: System, tmp_path: Path) -> None:
    """The backup is made under load; what came after it is read from Kafka again. Keys and ids stay."""
    work = Workload(Random(seed()), 384)
    with closing(Database(system.postgres)) as database:
        token = database.create_api_key("default", "test")
    await publish(
        system, [message({"request_id": "kept", "op": "add", "user_id": "keeper", "text": "blue umbrellas"})]
    )
    worker = system.start_worker()
    folder = tmp_path / "backup"
    async with under_load(system, list(work.messages(3_000)), 15):
        await progressed(system, 500)
        made = await call(system, "backup", str(folder), "--json")
        assert made.code == ExitCode.OK, made.err
    await caught_up(system, _WITHIN_S)
    assert await worker.stop() == ExitCode.OK
    await has_members(system, 0)
    before, manifest = stand(system), orjson.loads(made.out)
    assert 0 < manifest["postgres"]["rows"]["memories"] < len(before)

    # The same Kafka and group, with a new database and a new index.
    lost = replace(empty, kafka=system.kafka, workers=[])
    restored = await call(lost, "restore", str(folder), "--json")
    assert restored.code == ExitCode.OK, restored.err
    assert len(stand(lost)) == manifest["postgres"]["rows"]["memories"]
    assert await committed(lost) == {int(one): at for one, at in manifest["kafka"]["offsets"].items()}

    with lost.closing():
        again = lost.start_worker()
        await caught_up(lost, _WITHIN_S)
        assert stand(lost) == before
        verified = await call(lost, "verify", "--settle", "1")
        assert verified.code == ExitCode.OK, verified.err
        [one] = await found(lost, token, "umbrellas")
        assert before[UUID(one["id"])][1] == "blue umbrellas"
        assert await again.stop() == ExitCode.OK


async def found(system: System, token: str, query: str) -> list[Any]:
    """What a gateway finds, and gives by its id."""
    gateway = Gateway(system, unused_port())
    gateway.headers = {"Authorization": f"Token {token}"}
    await gateway.start()
    body = {"query": query, "filters": {"user_id": "keeper"}}
    results: list[Any] = (await gateway.post("/v3/memories/search/", body))["results"]
    for one in results:
        await gateway.get(f"/v1/memories/{one['id']}/")
    assert await gateway.process.stop() == ExitCode.OK
    return results


async def test_killed_when_postgres_is_filled_it_has_nothing_skipped(
    system: System, empty: System, tmp_path: Path
) -> None:
    """The group is back where the backup was before the database is, so workers read what that lacks."""
    work = Workload(Random(seed()), 384)
    worker = system.start_worker()
    await publish(system, work.messages(300))
    await caught_up(system, _WITHIN_S)
    folder = tmp_path / "backup"
    made = await call(system, "backup", str(folder), "--json")
    assert made.code == ExitCode.OK, made.err
    await publish(system, work.messages(300))
    await caught_up(system, _WITHIN_S)
    assert await worker.stop() == ExitCode.OK
    await has_members(system, 0)

    lost = replace(empty, kafka=system.kafka, workers=[])
    with Agentmem(lost.folder, lost.environment()).running("restore", str(folder)) as restoring:
        deadline = monotonic() + _WITHIN_S
        while not is_filled(lost):
            assert monotonic() < deadline
            assert restoring.process.poll() is None, restoring.lines
        restoring.process.kill()
        restoring.process.wait()
    assert await committed(lost) == {
        int(one): at for one, at in orjson.loads(made.out)["kafka"]["offsets"].items()
    }
    with lost.closing():
        again = lost.start_worker()
        await caught_up(lost, _WITHIN_S)
        assert stand(lost) == stand(system)
        assert await again.stop() == ExitCode.OK


def is_filled(system: System) -> bool:
    """Whether the database has memories; while a restore makes it anew, there is no table of them."""
    dsn = system.postgres.dsn.get_secret_value()
    with closing(psycopg2.connect(dsn)) as connection, connection.cursor() as cursor:
        try:
            cursor.execute("SELECT EXISTS (SELECT FROM memories)")
        except psycopg2.errors.UndefinedTable:
            return False
        return cursor.fetchone() == (True,)


async def test_into_another_kafka_and_what_is_refused(system: System, empty: System, tmp_path: Path) -> None:
    work = Workload(Random(seed()), 384)
    worker = system.start_worker()
    await publish(system, work.messages(300))
    await caught_up(system, _WITHIN_S)
    assert await worker.stop() == ExitCode.OK
    folder = tmp_path / "backup"
    assert (await call(system, "backup", str(folder))).code == ExitCode.OK
    assert (await call(system, "backup", str(folder))).code == ExitCode.USAGE  # never over another one
    assert (await call(system, "backup", str(folder), "--dry-run")).code == ExitCode.USAGE
    shown = await call(empty, "restore", str(folder), "--dry-run", "--json")
    manifest = orjson.loads(shown.out)
    rows = manifest["postgres"]["rows"]
    assert rows["memories"] == len(stand(system))
    made = {name: manifest["postgres"][name] for name in ("sha256", "revision", "rows")}
    [(started, nothing), (finished, detail)] = audited(system, folder)
    assert (started, nothing, finished) == ("backup.start", {}, "backup.finish")
    assert datetime.fromisoformat(detail.pop("created_at")) == datetime.fromisoformat(manifest["created_at"])
    assert detail == made

    not_empty = await call(system, "restore", str(folder))
    assert (not_empty.code, "not empty" in not_empty.err) == (ExitCode.MISCONFIGURED, True)
    damaged = tmp_path / "damaged"
    shutil.copytree(folder, damaged)
    (damaged / "postgres.dump").write_bytes((folder / "postgres.dump").read_bytes()[:-1] + b"x")
    wrong = await call(empty, "restore", str(damaged))
    assert (wrong.code, "checksum" in wrong.err) == (ExitCode.FAILED, True)
    (damaged / "postgres.dump").unlink()
    wrong = await call(empty, "restore", str(damaged))
    assert (wrong.code, "holds no postgres.dump" in wrong.err) == (ExitCode.FAILED, True)
    assert stand(empty) == {}

    held: dict[str, int] = {}
    left: set[str] = set()
    for more in ((), ("--replace",)):
        restored = await call(empty, "restore", str(folder), "--json", *more)
        assert restored.code == ExitCode.OK, restored.err
        # What the database that was replaced had made in Weaviate.
        assert set(orjson.loads(restored.out)["unknown_collections"]) == left
        assert all(name in restored.err for name in left)
        left = serving(empty)
        assert stand(empty) == stand(system)
        assert (await call(empty, "verify", "--settle", "0.5")).code == ExitCode.OK
        # What the backup had of its own, and what was done with it.
        [(started, _), (done, detail)] = audited(empty, folder)
        assert (started, done) == ("backup.start", "restore")
        assert {name: detail[name] for name in made} == made
        assert detail["replaced"] == held
        # The restore, and the rebuild: started, switched, the old one dropped, finished.
        held = {table: count for table, count in rows.items() if count} | {"audit": rows["audit"] + 5}
    assert set((await committed(empty)).values()) == {0}

    again = empty.start_worker()
    more_work = Workload(Random(seed()), 384, prefix="later-")
    await publish(empty, more_work.messages(100))
    await caught_up(empty, _WITHIN_S)
    assert (await call(empty, "verify", "--settle", "1")).code == ExitCode.OK
    assert await again.stop() == ExitCode.OK
    drop_collections(empty.weaviate)


def test_a_schema_of_before_the_audit_is_backed_up_without_an_entry(
    postgres_settings: PostgresSettings, tmp_path: Path
) -> None:
    """As before the upgrade to the version that has it."""
    downgrade(postgres_settings, "0004")
    backup_starts(postgres_settings, tmp_path)
    assert "audit" not in tools(postgres_settings).dump(tmp_path / "dump").rows
    upgrade(postgres_settings)
    backup_starts(postgres_settings, tmp_path)
    with closing(Database(postgres_settings)) as database:
        assert len(database.audit.of([str(tmp_path.resolve())])) == 1


def test_by_an_owner_that_is_no_superuser(postgres_settings: PostgresSettings, tmp_path: Path) -> None:
    """The walls are up for it as well: it sees and writes all rows all the same, and they stay."""
    with owned_database(postgres_settings) as (settings, name):
        administer(postgres_settings.dsn.get_secret_value(), f"GRANT {settings.gateway_role} TO {name}")
        upgrade(settings)
        with closing(Database(settings)) as database:
            fill(database, "ours", "theirs")
        dumped = tools(settings).dump(tmp_path / "dump")
        assert dumped.rows["memories"] == 2
        tools(settings).restore(tmp_path / "dump", dumped)
        with closing(Database(settings)) as database, closing(Database(settings, walled=True)) as gateway:
            assert len(rows(database, "", "memories")) == 2
            assert len(rows(gateway, "ours", "memories")) == 1
            # Keys are back, logins are not: some may have ended since.
            assert len(rows(database, "", "api_keys")) == 2
            assert rows(database, "", "token_families") == []
            with database._connection() as connection:
                walled = text(
                    "SELECT bool_and(relforcerowsecurity) FROM pg_class WHERE relname IN ('memories', 'requests')"
                )
                assert connection.execute(walled).scalar_one()
