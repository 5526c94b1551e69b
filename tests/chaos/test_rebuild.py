"""The rebuild under fire: searches and writes go on, the rebuild is killed, a worker sleeps through it."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import httpx
import orjson
import psutil
import pytest
from aiohttp.test_utils import unused_port

from agentmem.exit_codes import ExitCode
from agents import failpoints
from infra.postgres import Database
from infra.postgres.collections import CollectionState, SearchCollection
from tests.acceptance.command import Agentmem
from tests.harness.case import Case, stop_cleanly
from tests.harness.kafka import caught_up, has_members, publish
from tests.harness.load import progressed, under_load
from tests.harness.system import System
from tests.harness.waiting import eventually
from tests.harness.workers import WorkerProcess
from tests.harness.workload import message

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(900)]

_WITHIN_S = 120
_KEPT = "the lighthouse keeper collects blue umbrellas"


@dataclass
class Searches:
    """Searches for one memory that is always there, again and again."""

    url: str
    token: str
    answered: int = 0
    wrong: list[str] = field(default_factory=list)

    async def once(self, client: httpx.AsyncClient) -> None:
        body = {"query": "who collects umbrellas?", "filters": {"user_id": "keeper"}, "top_k": 1}
        headers = {"Authorization": f"Token {self.token}"}
        answer = await client.post(f"{self.url}/v3/memories/search/", json=body, headers=headers)
        found: list[Any] = answer.json()["results"] if answer.is_success else []
        if [one["memory"] for one in found] == [_KEPT]:
            self.answered += 1
        else:
            self.wrong.append(answer.text)


@asynccontextmanager
async def searched(
    system: System, database: Database, environment: Mapping[str, str] | None = None
) -> AsyncIterator[Searches]:
    """A gateway process, and searches of it all the while."""
    port = unused_port()
    token = database.create_api_key("default", "test")
    gateway = system.start("gateway", "gateway", "--port", str(port), environment=environment)
    searches = Searches(f"http://127.0.0.1:{port}", token)
    async with httpx.AsyncClient(timeout=30) as client:

        async def ready() -> bool:
            assert gateway.code is None, gateway.tail()
            try:
                return (await client.get(f"{searches.url}/health/ready")).is_success
            except httpx.TransportError:
                return False

        await eventually(ready, _WITHIN_S, "the gateway is ready", gateway.tail)

        async def search() -> None:
            while True:
                await searches.once(client)
                await asyncio.sleep(0.05)

        task = asyncio.create_task(search())
        yield searches
        task.cancel()
        assert task.cancelling()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert await gateway.stop() == ExitCode.OK


async def known(database: Database, system: System) -> dict[str, SearchCollection]:
    found = await asyncio.to_thread(database.collections.of, system.weaviate.collection)
    return {one.name: one for one in found}


async def killed_while(
    system: System, database: Database, condition: Callable[[dict[str, SearchCollection]], bool]
) -> None:
    """Start a rebuild and end it with SIGKILL when what is recorded shows that it has come so far."""
    process = system.start("rebuild", "rebuild", "--keep", "60")

    async def there() -> bool:
        assert process.code is None, process.tail()
        return condition(await known(database, system))

    await eventually(there, _WITHIN_S, "the rebuild has come so far", process.tail)
    process.kill()


def filling(known: dict[str, SearchCollection]) -> bool:
    return any(one.state is CollectionState.BUILDING and one.filled_to is not None for one in known.values())


def switched(known: dict[str, SearchCollection]) -> bool:
    return any(one.state is CollectionState.RETIRING for one in known.values())


@pytest.mark.case("rebuild-killed")
async def test_a_rebuild_killed_twice_while_all_goes_on(system: System, case: Case, database: Database) -> None:
    work = case.work(embedded=0.2)
    await publish(system, [message({"request_id": "kept", "op": "add", "user_id": "keeper", "text": _KEPT})])
    await publish(system, work.messages(case.scaled(6_000, 3_000)))
    workers = [system.start_worker() for _ in range(2)]
    await has_members(system, 2)
    await caught_up(system, _WITHIN_S)
    command = Agentmem(system.folder, system.environment())
    async with searched(system, database) as searches:
        async with under_load(system, list(work.messages(case.scaled(4_000, 2_000))), case.scaled(40, 20)):
            await progressed(system, 100)
            await killed_while(system, database, filling)
            # At an arbitrary moment of it there are two collections, and searches find everything.
            assert len(await known(database, system)) == 2
            await killed_while(system, database, switched)
            with case.recovering():
                done = await asyncio.to_thread(command, "rebuild", "--keep", "3", "--json")
        assert done.code == ExitCode.OK, (done.out, done.err)
        before = searches.answered
        await eventually(_more(searches, before + 20), _WITHIN_S, "searches go on")
    assert searches.wrong == []

    await caught_up(system, _WITHIN_S)
    [(name, serving)] = (await known(database, system)).items()
    assert (serving.state, orjson.loads(done.out)["collection"]) == (CollectionState.SERVING, name)
    told = orjson.loads(done.out)
    assert (told["built_before"], told["dropped"]) == (True, [system.weaviate.collection])
    await _all_is_there(system, case, command, name)
    await stop_cleanly(*workers)


@pytest.mark.case("rebuild-killed-{point}", full=["rebuild-killed-after-switch"])
@pytest.mark.parametrize("point", failpoints.REBUILT)
async def test_a_rebuild_killed_when_it_was_as_good_as_done_only_clears_up(
    system: System, case: Case, database: Database, point: str
) -> None:
    """And the one after that is another rebuild."""
    await publish(system, case.work(embedded=0.2).messages(case.scaled(3_000, 300)))
    worker = system.start_worker()
    await caught_up(system, _WITHIN_S)
    fault = {failpoints.VARIABLE: f"{point}:1:SIGKILL"}
    killed = system.start("rebuild", "rebuild", "--keep", "0", environment=fault)
    assert await killed.ended(_WITHIN_S) == -signal.SIGKILL, killed.tail()
    [built] = [
        name for name, one in (await known(database, system)).items() if one.state is CollectionState.SERVING
    ]
    assert built != system.weaviate.collection
    command = Agentmem(system.folder, system.environment())

    with case.recovering():
        done = await asyncio.to_thread(command, "rebuild", "--keep", "0", "--json")

    assert done.code == ExitCode.OK, (done.out, done.err)
    told = orjson.loads(done.out)
    assert (told["built_before"], told["collection"], told["filled"]) == (True, built, 0)
    assert list(await known(database, system)) == [built]
    await _all_is_there(system, case, command, built)
    another = await asyncio.to_thread(command, "rebuild", "--keep", "0", "--json")
    assert another.code == ExitCode.OK, (another.out, another.err)
    told = orjson.loads(another.out)
    assert (told["built_before"], told["dropped"]) == (False, [built])
    assert told["filled"] > 0
    await stop_cleanly(worker)


@pytest.mark.case("rebuild-while-asleep")
async def test_a_worker_that_sleeps_through_a_rebuild_loses_nothing(system: System, case: Case) -> None:
    """It stopped between reading the rows and writing them, and wakes up when its collection is gone."""
    await publish(system, case.work().messages(case.scaled(3_000, 600)))
    sleeper = system.start_worker({"window.max_records": "50"}, {failpoints.VARIABLE: "before-upsert:5:SIGSTOP"})
    await eventually(_asleep(sleeper), _WITHIN_S, "the worker sleeps", sleeper.tail)
    command = Agentmem(system.folder, system.environment())

    done = await asyncio.to_thread(command, "rebuild", "--keep", "0", "--json")

    assert done.code == ExitCode.OK, (done.out, done.err)
    with case.recovering():
        sleeper.signal(signal.SIGCONT)
        await caught_up(system, _WITHIN_S)
    await _all_is_there(system, case, command, orjson.loads(done.out)["collection"])
    await stop_cleanly(sleeper)


@pytest.mark.case("rebuild-another-model")
async def test_another_model_while_workers_of_both_write(system: System, case: Case, database: Database) -> None:
    """Each model's workers write only their own collection; what the others changed, their sweep brings in.

    Searches go on at a gateway of the old model until all is there, and then at one of the new while the old goes.
    """
    work = case.work(embedded=0.1)
    sweeping = {"worker.sweep_interval_s": "1", "worker.sweep_grace_s": "0.5"}
    new = {"AGENTMEM_EMBEDDING_VARIANT": "int8"}
    command = Agentmem(system.folder, system.environment())
    command_of_new = command.with_environment(**new)
    old_worker = system.start_worker(sweeping)
    await publish(system, [message({"request_id": "kept", "op": "add", "user_id": "keeper", "text": _KEPT})])
    await publish(system, work.messages(case.scaled(1_500, 500)))
    await caught_up(system, _WITHIN_S)
    too_early = system.start_worker(environment=new)
    assert await too_early.ended(_WITHIN_S) == ExitCode.MISCONFIGURED
    assert "agentmem rebuild" in too_early.text()

    async with searched(system, database) as searches:
        done = await asyncio.to_thread(command_of_new, "rebuild", "--json")
        assert done.code == ExitCode.OK, (done.out, done.err)
        assert orjson.loads(done.out)["dropped"] == []
        await publish(system, work.messages(200))  # before any worker of the new model is there
        await caught_up(system, _WITHIN_S)
        new_worker = system.start_worker(sweeping, new)
        await has_members(system, 2)
        await publish(system, work.messages(500))
        await caught_up(system, _WITHIN_S)
        for one in (command, command_of_new):

            async def clean(one: Agentmem = one) -> bool:
                return (await asyncio.to_thread(one, "verify", "--settle", "1")).code == ExitCode.OK

            await eventually(clean, _WITHIN_S, "nothing is missing", system.logs)
        await eventually(_more(searches, 20), _WITHIN_S, "searches go on")
    assert searches.wrong == []
    await case.judge(system)

    await stop_cleanly(old_worker)
    async with searched(system, database, new) as searches:
        dropped = await asyncio.to_thread(command_of_new, "rebuild", "--drop-other-models", "--json")
        assert orjson.loads(dropped.out)["dropped"] == [system.weaviate.collection]
        await publish(system, work.messages(100))
        await caught_up(system, _WITHIN_S)
        await eventually(_more(searches, searches.answered + 20), _WITHIN_S, "searches go on")
    assert searches.wrong == []
    assert (await asyncio.to_thread(command_of_new, "verify", "--settle", "1")).code == ExitCode.OK
    assert (await asyncio.to_thread(command, "verify")).code == ExitCode.MISCONFIGURED
    await stop_cleanly(new_worker)


def _asleep(worker: WorkerProcess) -> Callable[[], Any]:
    async def asleep() -> bool:
        assert worker.code is None, worker.tail()
        return psutil.Process(worker.pid).status() == psutil.STATUS_STOPPED

    return asleep


def _more(searches: Searches, count: int) -> Callable[[], Any]:
    async def more() -> bool:
        return searches.answered >= count

    return more


async def _all_is_there(system: System, case: Case, command: Agentmem, collection: str) -> None:
    """The oracle holds for the new collection, and the verification finds nothing."""
    weaviate = system.weaviate.model_copy(update={"collection": collection})
    await case.judge(replace(system, weaviate=weaviate))
    verified = await asyncio.to_thread(command, "verify", "--json", "--settle", "1")
    assert verified.code == ExitCode.OK, (verified.out, verified.err)
