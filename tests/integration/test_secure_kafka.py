"""Kafka behind TLS and SASL: every client of ours connects, and strangers do not."""

from __future__ import annotations

import asyncio
import shutil
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from aiohttp.test_utils import unused_port
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from pydantic import SecretStr

from gateway.broker import Broker
from infra.local.ports import accepts
from infra.local.service import Service, Supervisor
from infra.postgres import PostgresSettings
from infra.weaviate import WeaviateSettings
from schemas.problems import MisconfiguredError, StoreUnavailableError
from streams.lag import LagReader
from streams.producer import Producer, acknowledged
from streams.security import client_options
from streams.settings import KafkaSettings
from streams.topics import Topics, ensure_topics
from tests.integration.gateway_world import eventually
from tests.tls import Authority

USER, PASSWORD = "agentmem", "not a real secret"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def broker(
    kafka_home: Path, authority: Authority, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, int]]:
    """The ports of a broker by protocol: SSL asks for a client's certificate, SASL_SSL for a user."""
    java = shutil.which("java")
    if java is None:
        pytest.skip("there is no java here")
    home = tmp_path_factory.mktemp("kafka")
    ports = {protocol: unused_port() for protocol in ("SSL", "SASL_SSL", "PLAINTEXT", "CONTROLLER")}
    config = home / "server.properties"
    config.write_text(_properties(home / "data", ports, authority))
    command = (java, "-Xmx300m", "-cp", f"{kafka_home}/libs/*")
    scram = f"SCRAM-SHA-512=[name={USER},password={PASSWORD}]"
    supervisor = Supervisor(home, tied=True, start_timeout_s=120)

    async def start() -> None:
        formatting = await asyncio.create_subprocess_exec(
            *(*command, "kafka.tools.StorageTool", "format", "-t", "AgentMemSecureTestAAAA", "-c", str(config)),
            *("--add-scram", scram),
            stdout=asyncio.subprocess.DEVNULL,
        )
        assert await formatting.wait() == 0

        async def ready() -> bool:
            return await accepts(ports["SASL_SSL"])

        await supervisor.start(Service("kafka", (*command, "kafka.Kafka", str(config)), ready))

    # A thread of its own, for as long as the broker runs: a tied process dies with the thread that started it.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, start()).result()
        yield ports
        thread.submit(asyncio.run, supervisor.stop(["kafka"], 20)).result()


def _properties(data: Path, ports: Mapping[str, int], authority: Authority) -> str:
    listeners = ",".join(f"{protocol}://127.0.0.1:{port}" for protocol, port in ports.items())
    settings = {
        "process.roles": "broker,controller",
        "node.id": 1,
        "controller.quorum.voters": f"1@127.0.0.1:{ports['CONTROLLER']}",
        "controller.listener.names": "CONTROLLER",
        "listeners": listeners,
        "listener.security.protocol.map": "SSL:SSL,SASL_SSL:SASL_SSL,PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "advertised.listeners": listeners.rpartition(",")[0],
        "inter.broker.listener.name": "PLAINTEXT",
        "log.dirs": data,
        "offsets.topic.replication.factor": 1,
        "offsets.topic.num.partitions": 1,
        "group.initial.rebalance.delay.ms": 0,
        "message.max.bytes": 6 * 1024 * 1024,
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": authority.issue("broker").both,
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": authority.file,
        "listener.name.ssl.ssl.client.auth": "required",
        "listener.name.sasl_ssl.sasl.enabled.mechanisms": "SCRAM-SHA-512",
        "listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config": (
            "org.apache.kafka.common.security.scram.ScramLoginModule required;"
        ),
    }
    return "".join(f"{key}={value}\n" for key, value in settings.items())


@pytest.fixture
def with_user(broker: Mapping[str, int], authority: Authority) -> KafkaSettings:
    return KafkaSettings(
        bootstrap_servers=f"127.0.0.1:{broker['SASL_SSL']}",
        topic_prefix="user-",
        partitions=2,
        request_timeout_s=30,
        security_protocol="SASL_SSL",
        ssl_ca_file=authority.file,
        sasl_username=USER,
        sasl_password=SecretStr(PASSWORD),
    )


@pytest.fixture
def with_certificate(broker: Mapping[str, int], authority: Authority) -> KafkaSettings:
    pem = authority.issue("client")
    return KafkaSettings(
        bootstrap_servers=f"127.0.0.1:{broker['SSL']}",
        topic_prefix="certificate-",
        partitions=2,
        request_timeout_s=30,
        security_protocol="SSL",
        ssl_ca_file=authority.file,
        ssl_cert_file=pem.certificate,
        ssl_key_file=pem.key,
    )


@pytest.mark.parametrize("how", ["with_user", "with_certificate"])
async def test_our_clients_connect(request: pytest.FixtureRequest, how: str) -> None:
    settings: KafkaSettings = request.getfixturevalue(how)
    assert all((await ensure_topics(settings)).values())
    topics = Topics.of(settings)
    async with Producer(settings) as producer:
        await acknowledged([await producer.send(topics.requests, key=b"k", value=b"v")])
    async with LagReader(settings) as lag:

        async def counted() -> bool:
            try:
                return (await lag.read()).total == 1
            except StoreUnavailableError:
                return False  # a new broker has no group coordinator yet

        await eventually(counted)
    probe = Broker(settings, topics.events)
    await probe.start()
    await probe.probe()
    await probe.stop()


async def test_strangers_do_not(with_user: KafkaSettings, with_certificate: KafkaSettings, tmp_path: Path) -> None:
    other = Authority(tmp_path, "other")
    pem = other.issue("stranger")
    for settings in (
        with_user.model_copy(update={"sasl_password": SecretStr("wrong")}),
        with_user.model_copy(update={"ssl_ca_file": other.file}),
        with_certificate.model_copy(update={"ssl_cert_file": pem.certificate, "ssl_key_file": pem.key}),
        with_certificate.model_copy(update={"ssl_cert_file": None, "ssl_key_file": None}),
    ):
        with pytest.raises(StoreUnavailableError):
            await Producer(settings).start()


async def test_files_that_are_missing_are_told(with_user: KafkaSettings, tmp_path: Path) -> None:
    settings = with_user.model_copy(update={"ssl_ca_file": tmp_path / "none.pem"})
    with pytest.raises(MisconfiguredError, match=r"kafka\.ssl_ca_file"):
        client_options(settings)


async def test_a_worker_joins_its_group(
    with_user: KafkaSettings,
    postgres_settings: PostgresSettings,
    weaviate_settings: WeaviateSettings,
    model_dir: Path,
    clean_environment: dict[str, str],
    tmp_path: Path,
) -> None:
    settings = with_user.model_copy(update={"topic_prefix": "worker-", "group": "secure"})
    await ensure_topics(settings)
    log = tmp_path / "worker.log"
    env = clean_environment | {
        "AGENTMEM_KAFKA_BOOTSTRAP_SERVERS": settings.bootstrap_servers,
        "AGENTMEM_KAFKA_TOPIC_PREFIX": settings.topic_prefix,
        "AGENTMEM_KAFKA_GROUP": settings.group,
        "AGENTMEM_KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
        "AGENTMEM_KAFKA_SSL_CA_FILE": str(settings.ssl_ca_file),
        "AGENTMEM_KAFKA_SASL_USERNAME": USER,
        "AGENTMEM_KAFKA_SASL_PASSWORD": PASSWORD,
        "AGENTMEM_POSTGRES_DSN": postgres_settings.dsn.get_secret_value(),
        "AGENTMEM_WEAVIATE_URL": weaviate_settings.url,
        "AGENTMEM_WEAVIATE_GRPC": weaviate_settings.grpc,
        "AGENTMEM_WEAVIATE_COLLECTION": weaviate_settings.collection,
        "AGENTMEM_EMBEDDING_MODEL": str(model_dir),
        "AGENTMEM_WORKER_PORT": str(unused_port()),
    }
    if weaviate_settings.api_key is not None:
        env["AGENTMEM_WEAVIATE_API_KEY"] = weaviate_settings.api_key.get_secret_value()
    with log.open("wb") as out:
        worker = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "agentmem", "worker", env=env, stdout=out, stderr=out
        )
    try:

        async def joined() -> bool:
            assert worker.returncode is None, log.read_text()
            admin = AIOKafkaAdminClient(**client_options(settings))
            try:
                await admin.start()
                (answer,) = await admin.describe_consumer_groups([settings.group])
            except KafkaError:
                return False
            finally:
                await admin.close()
            _error, _group, state, *_ = answer.groups[0]
            return bool(state == "Stable")

        await eventually(joined, 120)
    finally:
        if worker.returncode is None:
            worker.terminate()
        await worker.wait()
