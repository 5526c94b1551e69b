"""Postgres and Weaviate behind TLS: our clients check whom they talk to."""

from __future__ import annotations

import asyncio
import ssl
import struct
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import aiohttp
import pytest
from pydantic import SecretStr
from sqlalchemy.engine import make_url

from infra.local import weaviate
from infra.local.ports import assign_ports
from infra.local.service import Service, Supervisor
from infra.postgres import Database, PostgresSettings
from schemas.problems import StoreUnavailableError
from tests.tls import Authority

#: What a client sends first that wants TLS.
_SSL_REQUEST = struct.pack("!ii", 8, 80877103)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls"))


@contextmanager
def running(directory: Path, service: Service) -> Iterator[None]:
    """The service, on a thread of its own: a tied process dies with the thread that started it."""
    supervisor = Supervisor(directory, tied=True, start_timeout_s=120)
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, supervisor.start(service)).result()
        try:
            yield
        finally:
            thread.submit(asyncio.run, supervisor.stop([service.name], 20)).result()


@asynccontextmanager
async def tls_in_front(dsn: str, authority: Authority) -> AsyncIterator[str]:
    """The DSN of a server that asks for TLS as Postgres does and passes on to the one of ``dsn``.

    The Postgres that these tests start was built without TLS.
    """
    target, pem = make_url(dsn), authority.issue("postgres")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pem.certificate, pem.key)

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert await reader.readexactly(8) == _SSL_REQUEST
        writer.write(b"S")
        with suppress(ssl.SSLError, ConnectionError):
            await writer.start_tls(context)
            store_reader, store_writer = await asyncio.open_connection(target.host, target.port)
            await asyncio.gather(_copy(reader, store_writer), _copy(store_reader, writer))
        writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        yield target.set(port=port).render_as_string(hide_password=False)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


async def test_postgres_is_checked_by_its_certificate(
    postgres_dsn: str, authority: Authority, tmp_path: Path
) -> None:
    def use(file: Path) -> bool:
        settings = PostgresSettings(
            dsn=SecretStr(f"{dsn}?sslmode=verify-full&sslrootcert={file}"), connect_timeout_s=60
        )
        database = Database(settings, walled=True)
        try:
            with database._connection() as connection:
                driver = connection.connection.driver_connection
                assert driver is not None
                return bool(driver.info.ssl_in_use)
        finally:
            database.close()

    async with tls_in_front(postgres_dsn, authority) as dsn:
        assert await asyncio.to_thread(use, authority.file)
        with pytest.raises(StoreUnavailableError, match="certificate"):
            await asyncio.to_thread(use, Authority(tmp_path, "other").file)


@pytest.fixture(scope="module")
def tls_weaviate(
    stores: Mapping[str, str], authority: Authority, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, str]]:
    """The settings, as environment variables, of a Weaviate that speaks TLS only."""
    if "WEAVIATE_HOME" not in stores:
        pytest.skip("the stores in use come without Weaviate's program")
    home = tmp_path_factory.mktemp("weaviate")
    pem = authority.issue("weaviate")
    # Not of those that the kernel hands out meanwhile; the ones after Weaviate's inner ports are free as well.
    ports = asyncio.run(assign_ports(home, "secure", {"weaviate_port": None, "weaviate_grpc_port": None}))
    key = uuid4().hex
    plain = asyncio.run(weaviate.service(Path(stores["WEAVIATE_HOME"]), home / "data", ports, key))

    async def ready() -> bool:
        return await _answers(ports["weaviate_port"], authority)

    listen = ("--scheme", "https", "--tls-host", "127.0.0.1", "--tls-port", str(ports["weaviate_port"]))
    files = ("--tls-certificate", str(pem.certificate), "--tls-key", str(pem.key))
    env = {**plain.env, "GRPC_CERT_FILE": str(pem.certificate), "GRPC_KEY_FILE": str(pem.key)}
    with running(home, replace(plain, argv=(plain.argv[0], *listen, *files), env=env, ready=ready)):
        yield {
            "AGENTMEM_WEAVIATE_URL": f"https://127.0.0.1:{ports['weaviate_port']}",
            "AGENTMEM_WEAVIATE_GRPC": f"127.0.0.1:{ports['weaviate_grpc_port']}",
            "AGENTMEM_WEAVIATE_API_KEY": key,
        }


async def _answers(port: int, authority: Authority) -> bool:
    context = ssl.create_default_context(cafile=authority.file)
    url = f"https://127.0.0.1:{port}/v1/.well-known/ready"
    try:
        async with aiohttp.ClientSession() as session, session.get(url, ssl=context) as answer:
            return answer.status == 200
    except aiohttp.ClientError:
        return False


_USE = """
import asyncio
from agentmem.settings import load_settings
from infra.weaviate import VectorIndex
from schemas.models import ModelIdentity

async def main():
    index = VectorIndex(load_settings().weaviate)
    await index.open()
    await index.ensure(ModelIdentity("m", "r", "fp32", 4))
    print(await index.is_ready())
    await index.drop()
    await index.close()

asyncio.run(main())
"""


@pytest.mark.parametrize(
    ("trusted", "key", "good"), [(True, None, True), (False, None, False), (True, "wrong", False)]
)
async def test_weaviate_is_checked_by_its_certificate_and_checks_our_key(
    tls_weaviate: dict[str, str],
    authority: Authority,
    clean_environment: dict[str, str],
    trusted: bool,
    key: str | None,
    good: bool,
) -> None:
    env = clean_environment | tls_weaviate | {"AGENTMEM_WEAVIATE_CONNECT_TIMEOUT_S": "60" if good else "5"}
    if trusted:
        env |= {"SSL_CERT_FILE": str(authority.file), "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH": str(authority.file)}
    if key is not None:
        env |= {"AGENTMEM_WEAVIATE_API_KEY": key}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _USE), env=env, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await process.communicate()
    assert (process.returncode == 0) is good, output.decode()
    assert (b"True" in output.splitlines()) is good
