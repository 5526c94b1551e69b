"""The parts of the local stack: with real processes, files and ports."""

from __future__ import annotations

import asyncio
import io
import os
import re
import shutil
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from uuid import uuid4

import psutil
import psycopg2
import pytest
from pydantic import ValidationError
from rich.console import Console

from infra.local import postgres, tools, versions, weaviate
from infra.local.cache import PartCache
from infra.local.errors import LocalStackError
from infra.local.files import require_space, stable_secret, try_lock
from infra.local.ports import assign_ports
from infra.local.process import ProcessIdentity, spawn, stop_process
from infra.local.progress import Progress
from infra.local.service import Supervisor
from infra.local.settings import LocalSettings
from infra.local.stores import LocalStack, stack_name

SLEEP = (sys.executable, "-c", "import time; time.sleep(600)")
DEAF = (
    sys.executable,
    "-c",
    "import signal, time; signal.signal(15, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)",
)


@pytest.fixture
def progress() -> Progress:
    return Progress(Console(file=io.StringIO()))


def start(tmp_path: Path, argv: tuple[str, ...]) -> ProcessIdentity:
    pid = spawn(argv, env=os.environ, log=tmp_path / "log", cwd=tmp_path, tied_by=None)
    identity = ProcessIdentity.of(pid)
    assert identity is not None
    return identity


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 (files do not call back)
            await asyncio.sleep(0.01)


async def test_a_process_is_known_by_its_start_too(tmp_path: Path) -> None:
    process = start(tmp_path, SLEEP)
    pid_file = tmp_path / "one.pid"
    process.write(pid_file)
    assert ProcessIdentity.read(pid_file) == process

    stranger = ProcessIdentity(process.pid, "another boot/1")
    stranger.write(pid_file)
    assert ProcessIdentity.read(pid_file) is None
    await stop_process(stranger, signal.SIGKILL, 1)
    assert ProcessIdentity.of(process.pid) == process

    await stop_process(process, signal.SIGTERM, 5)
    assert ProcessIdentity.of(process.pid) is None


async def test_a_process_that_does_not_listen_is_ended_by_force(tmp_path: Path) -> None:
    process = start(tmp_path, DEAF)
    await until(lambda: "deaf" in (tmp_path / "log").read_text())
    await stop_process(process, signal.SIGTERM, 0.2)
    assert ProcessIdentity.of(process.pid) is None


async def test_a_tied_process_dies_with_its_starter(tmp_path: Path) -> None:
    # It prints its process id when the tie holds: the command behind the tie runs.
    tied = (sys.executable, "-c", "import os, time; print(os.getpid(), flush=True); time.sleep(600)")
    starter = (
        "import os, signal, time; from pathlib import Path; from infra.local.process import spawn\n"
        f"spawn({tied!r}, env=os.environ, log=Path('log'), cwd=Path('.'), tied_by=signal.SIGTERM)\n"
        "time.sleep(600)"
    )
    parent = start(tmp_path, (sys.executable, "-c", f"import sys; sys.path.insert(0, {os.getcwd()!r})\n{starter}"))
    log = tmp_path / "log"
    await until(lambda: log.read_text().endswith("\n"))
    child = ProcessIdentity.of(int(log.read_text()))
    assert child is not None
    await stop_process(parent, signal.SIGKILL, 5)
    async with child.watched() as watch, asyncio.timeout(60):
        await watch.ended()


async def test_ports_are_kept_and_not_shared(tmp_path: Path) -> None:
    first = await assign_ports(tmp_path, "one", {"kafka_port": None})
    assert await assign_ports(tmp_path, "one", {"kafka_port": None}) == first
    other = await assign_ports(tmp_path, "two", {"kafka_port": None})
    assert not set(first.values()) & set(other.values())


async def test_a_taken_port_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(LocalStackError, match=f"Port {port} is taken.*AGENTMEM_LOCAL_KAFKA_PORT"):
            await assign_ports(tmp_path, "one", {"kafka_port": port})


async def test_a_part_is_built_once(tmp_path: Path, progress: Progress) -> None:
    cache = PartCache(tmp_path, progress)
    builds = 0

    async def build(target: Path) -> None:
        nonlocal builds
        builds += 1
        await asyncio.sleep(0.05)
        (target / "content").write_text("whole")

    parts = await asyncio.gather(*(cache.part("thing", "Building it", 1, build) for _ in range(3)))
    assert builds == 1
    assert {(part / "content").read_text() for part in parts} == {"whole"}


async def test_a_failed_or_killed_build_leaves_nothing(tmp_path: Path, progress: Progress) -> None:
    cache = PartCache(tmp_path, progress)
    (cache.directory / ".thing.partial").mkdir(parents=True)
    (cache.directory / ".thing.partial" / "half").touch()

    async def fail(target: Path) -> None:
        assert os.listdir(target) == []
        raise LocalStackError("no network")

    with pytest.raises(LocalStackError, match="no network"):
        await cache.part("thing", "Building it", 1, fail)
    assert [path.name for path in cache.directory.iterdir()] == ["thing.lock"]


def test_a_full_disk_is_told(tmp_path: Path) -> None:
    with pytest.raises(
        LocalStackError, match=r"The disk is too full: a stack needs 1000000000 MB .* AGENTMEM_HOME"
    ):
        require_space(tmp_path, 10**9, "a stack")


async def test_a_failing_tool_is_quoted(tmp_path: Path) -> None:
    script = "echo fine; echo '[ERROR] no route to the repository'; exit 3"
    with pytest.raises(LocalStackError, match=r"while downloading: \[ERROR\] no route to the repository\. Check"):
        await tools.run_tool(("sh", "-c", script), purpose="downloading", log=tmp_path / "log")


async def test_an_interrupted_tool_ends_with_its_children(tmp_path: Path) -> None:
    pid_file = tmp_path / "child"
    script = f"sleep 600 & echo $! > {pid_file}; wait"
    run = asyncio.create_task(tools.run_tool(("sh", "-c", script), purpose="waiting", log=tmp_path / "log"))
    await until(lambda: pid_file.exists() and pid_file.read_text().endswith("\n"))
    child = ProcessIdentity.of(int(pid_file.read_text()))
    assert child is not None
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    async with child.watched() as watch, asyncio.timeout(60):
        await watch.ended()


async def test_missing_tools_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(LocalStackError, match=r"java is not installed.*Install a JDK 17"):
        await tools.java()
    with pytest.raises(LocalStackError, match=r"mvn is not installed.*Install Maven"):
        tools.maven()
    with pytest.raises(LocalStackError, match=r"go is not installed.*Install Go 1\.26"):
        await tools.go()


async def test_old_tools_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, says in (("java", 'openjdk version "11.0.2"'), ("go", "go1.22.1")):
        tool = tmp_path / name
        tool.write_text(f"#!/bin/sh\necho '{says}'\n")
        tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(LocalStackError, match=r"is Java 11\. Install a JDK 17"):
        await tools.java()
    with pytest.raises(LocalStackError, match=r"is go1\.22\. Install Go 1\.26"):
        await tools.go()


def test_go_builds_the_version_that_is_promised() -> None:
    module = (Path(weaviate.__file__).parent / "weaviate_build" / "go.mod").read_text()
    found = re.search(r"github\.com/weaviate/weaviate (v\S+)", module)
    assert found is not None
    assert found[1] == versions.WEAVIATE


def test_names_and_secrets_are_stable(tmp_path: Path) -> None:
    assert stack_name(Path("/somewhere/my project")) == stack_name(Path("/somewhere/my project"))
    assert stack_name(Path("/somewhere/my project")) != stack_name(Path("/elsewhere/my project"))
    assert LocalSettings(name=stack_name(Path("/x/-ö pro/ject!")))  # is a valid name
    secret = stable_secret(tmp_path / "secret")
    assert stable_secret(tmp_path / "secret") == secret
    assert (tmp_path / "secret").stat().st_mode & 0o777 == 0o600


def test_a_home_that_shells_would_split_is_refused() -> None:
    with pytest.raises(ValidationError, match="without spaces"):
        LocalSettings(home=Path("/some where"))


@pytest.fixture
def name() -> Iterator[str]:
    name = f"test-{uuid4().hex[:8]}"
    yield name
    shutil.rmtree(LocalSettings().home / "stacks" / name, ignore_errors=True)


async def test_a_stack_recovers_from_a_crash(name: str, tmp_path: Path, progress: Progress) -> None:
    """Killed in full flight, with the records and locks of a crash left behind: it starts, the data is there."""
    stack = LocalStack(LocalSettings(name=name), tmp_path, progress, tied=True)
    async with stack.owned():
        try:
            addresses = await stack.start_stores()
            with psycopg2.connect(addresses["AGENTMEM_POSTGRES_DSN"]) as connection:
                connection.cursor().execute("CREATE TABLE kept AS SELECT 42 AS answer")
            connection.close()
            with pytest.raises(LocalStackError, match="Another process runs or starts the stack"):
                async with LocalStack(LocalSettings(name=name), tmp_path, progress).owned():
                    pass
            ended = asyncio.create_task(stack.supervisor.first_end())
            await asyncio.sleep(0)
            for process in stack.supervisor.running().values():
                await stop_process(process, signal.SIGKILL, 5)
            assert "ended unexpectedly. The end of its log" in str(await ended)
            assert stack.supervisor.running() == {}

            # A record of a process that is a stranger by now, and a server without a record.
            postmaster = stack.directory / "data" / "postgres" / "postmaster.pid"
            postmaster.write_text(f"{os.getpid()}\n{postmaster.parent}\n")
            assert await stack.start_stores() == addresses
            (stack.directory / "run" / "postgres.pid").unlink()
            await stack.stop()
            assert await stack.start_stores() == addresses
            connection = psycopg2.connect(addresses["AGENTMEM_POSTGRES_DSN"])
            with connection, connection.cursor() as cursor:
                cursor.execute("SELECT answer FROM kept")
                assert cursor.fetchone() == (42,)
            connection.close()
        finally:
            await stack.stop()
    lock = try_lock(stack.directory / "lock")
    assert lock is not None
    os.close(lock)


@pytest.fixture
async def lone_postgres(tmp_path: Path) -> AsyncIterator[tuple[Supervisor, Path, Callable[[], Awaitable[None]]]]:
    """Postgres without the other stores: its supervisor, its data, and how it is started."""
    supervisor = Supervisor(tmp_path, tied=True, start_timeout_s=60)
    data = tmp_path / "data" / "postgres"
    data.parent.mkdir()
    (tmp_path / "run").mkdir(exist_ok=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    async def start() -> None:
        await supervisor.start(await postgres.service(data, {"postgres_port": port}, "secret"))

    await start()
    yield supervisor, data, start
    await supervisor.stop(["postgres"], 20)


async def test_postgres_starts_though_a_stranger_has_its_old_process_id(
    lone_postgres: tuple[Supervisor, Path, Callable[[], Awaitable[None]]], tmp_path: Path
) -> None:
    """Its lock names the server by process id alone, and those come round again."""
    supervisor, data, start_it = lone_postgres
    await stop_process(supervisor.running()["postgres"], signal.SIGKILL, 5)
    stranger = start(tmp_path, SLEEP)
    lock = data / "postmaster.pid"
    _, rest = lock.read_text().split("\n", 1)
    lock.write_text(f"{stranger.pid}\n{rest}")
    try:
        await start_it()
        assert ProcessIdentity.of(stranger.pid) == stranger
    finally:
        await stop_process(stranger, signal.SIGKILL, 5)


async def test_postgres_starts_though_processes_of_a_killed_server_remain(
    lone_postgres: tuple[Supervisor, Path, Callable[[], Awaitable[None]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "_STOP_ORPHAN_WITHIN_S", 0.5)
    supervisor, _, start_it = lone_postgres
    server = supervisor.running()["postgres"]
    children = psutil.Process(server.pid).children()
    for child in children:
        child.suspend()  # so that it cannot notice
    await stop_process(server, signal.SIGKILL, 5)
    await start_it()
    assert not any(child.is_running() and child.status() != psutil.STATUS_ZOMBIE for child in children)
