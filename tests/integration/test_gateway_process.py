"""The gateway as a process: it listens, and a signal ends it."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from pathlib import Path

import orjson
import pytest
from aiohttp import ClientSession
from aiohttp.test_utils import unused_port

from gateway.server import run_gateway
from gateway.settings import GatewaySettings
from infra.onnx import Embedder, EmbeddingSettings
from infra.postgres import PostgresSettings
from infra.weaviate import WeaviateSettings
from schemas.problems import MisconfiguredError
from streams.settings import KafkaSettings
from tests.harness.scraped import assert_tells_what_runs
from tests.integration.gateway_world import NO_WEAVIATE

_RUN = """
import logging, sys, orjson
from gateway.server import run_gateway
from gateway.settings import GatewaySettings
from infra.onnx import EmbeddingSettings
from infra.postgres import PostgresSettings
from infra.weaviate import WeaviateSettings
from streams.settings import KafkaSettings

logging.basicConfig(level="INFO")
logging.getLogger("gateway").setLevel("INFO")
models = (GatewaySettings, KafkaSettings, PostgresSettings, WeaviateSettings, EmbeddingSettings)
sections = orjson.loads(sys.argv[1])
sys.exit(run_gateway(*(model(**section) for model, section in zip(models, sections, strict=True))))
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_it_cleanly(
    number: signal.Signals, kafka_bootstrap: str, postgres_dsn: str, model_dir: Path, embedder: Embedder
) -> None:
    port = unused_port()
    sections = [
        {"port": port},
        {"bootstrap_servers": kafka_bootstrap, "topic_prefix": "nothing-here-"},
        {"dsn": postgres_dsn},
        {"url": NO_WEAVIATE.url, "grpc": NO_WEAVIATE.grpc},
        {"model": str(model_dir)},
    ]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _RUN, orjson.dumps(sections).decode(), stderr=asyncio.subprocess.PIPE
    )
    assert process.stderr is not None
    log = ""
    async with asyncio.timeout(120):
        while "listens on" not in log and (line := await process.stderr.readline()):
            log += line.decode()
        assert f"http://127.0.0.1:{port}" in log, log
        async with ClientSession(f"http://127.0.0.1:{port}") as session:
            async with session.get("/health/live") as response:
                assert response.status == 200
            async with session.get("/metrics") as response:
                assert_tells_what_runs(await response.text(), embedder.identity)
        process.send_signal(number)
        _, rest = await process.communicate()
    assert process.returncode == 0, log + rest.decode()
    assert "Traceback" not in log + rest.decode()


def test_a_taken_port_is_one_clear_sentence(postgres_settings: PostgresSettings, model_dir: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(MisconfiguredError, match=f"127.0.0.1:{port} .*gateway.port"):
            run_gateway(
                GatewaySettings(port=port),
                KafkaSettings(),
                postgres_settings,
                WeaviateSettings(),
                EmbeddingSettings(model=str(model_dir)),
            )
