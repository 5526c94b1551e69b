"""The command as its user meets it, with nothing running."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

import agentmem as package
from agentmem.cli import COMMANDS
from agentmem.exit_codes import ExitCode
from tests.acceptance.command import Agentmem

STORES = {"faust", "numpy", "onnxruntime", "sqlalchemy", "weaviate"}
HEAVY = STORES | {"aiohttp", "aiokafka", "rich.table"}


class _Stranger(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.send_response(404)
        self.end_headers()
        self.wfile.write(b"<h1>What?</h1>")

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def stranger() -> Iterator[str]:
    """A web server that is no gateway."""
    server = HTTPServer(("127.0.0.1", 0), _Stranger)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def imports(agentmem: Agentmem, *arguments: str) -> tuple[str, set[str]]:
    """What a command prints, and the modules that it imports."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "agentmem", *arguments],
        cwd=agentmem.folder,
        env=dict(agentmem.environment),
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout, {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}


def test_help_lists_every_command_and_imports_nothing_slow(agentmem: Agentmem) -> None:
    out, imported = imports(agentmem, "--help")
    for name in COMMANDS:
        assert f"\n  {name} " in out
    assert imported.isdisjoint(HEAVY)


@pytest.mark.parametrize(
    "arguments", [("config",), ("search", "x", "--user", "alice"), ("tail",), ("import", "-", "--user", "alice")]
)
def test_a_client_does_not_load_the_stores(
    agentmem: Agentmem, closed_port: int, arguments: tuple[str, ...]
) -> None:
    command = agentmem.with_environment(AGENTMEM_URL=f"http://127.0.0.1:{closed_port}", AGENTMEM_API_KEY="k")
    _, imported = imports(command, *arguments)
    assert "agentmem.settings" in imported
    assert imported.isdisjoint(STORES)


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_explains_itself(agentmem: Agentmem, command: str) -> None:
    result = agentmem(command, "--help")
    assert result.code == ExitCode.OK
    assert result.out.startswith(f"Usage: agentmem {command}")
    assert result.err == ""


def test_version(agentmem: Agentmem) -> None:
    assert agentmem("--version").out == f"agentmem, version {package.__version__}\n"


@pytest.mark.parametrize(
    "arguments", [("nosuch",), ("search",), ("import",), ("history", "x"), ("--set", "x", "topics")]
)
def test_bad_usage(agentmem: Agentmem, arguments: tuple[str, ...]) -> None:
    result = agentmem(*arguments)
    assert result.code == ExitCode.USAGE
    assert "Error: " in result.err
    assert "Traceback" not in result.err


def test_bad_setting_is_one_line_with_name_problem_and_source(agentmem: Agentmem) -> None:
    result = agentmem("topics", AGENTMEM_KAFKA_PARTITIONS="0")
    assert result.code == ExitCode.USAGE
    assert result.err == (
        "Error: setting kafka.partitions: should be greater than or equal to 1, not '0', "
        "from environment variable AGENTMEM_KAFKA_PARTITIONS\n"
    )


def test_config_file_by_option_and_by_variable(agentmem: Agentmem) -> None:
    (agentmem.folder / "s.toml").write_text("[kafka]\nbroker = 1\n")
    by_option = agentmem("--config", "s.toml", "topics")
    by_variable = agentmem("topics", AGENTMEM_CONFIG="s.toml")
    assert by_option == by_variable
    assert by_option.code == ExitCode.USAGE
    assert "kafka.broker" in by_option.err


def test_debug_shows_the_traceback(agentmem: Agentmem) -> None:
    assert "Traceback" in agentmem("--debug", "topics", AGENTMEM_KAFKA_PARTITIONS="0").err


class TestImport:
    def test_invalid_lines_are_told_and_nothing_is_published(self, agentmem: Agentmem) -> None:
        (agentmem.folder / "chat.jsonl").write_text('{"role": "user", "content": "Hi"}\n{"role": "user"}\nno\n')
        result = agentmem("import", "chat.jsonl", "--user", "alice")
        assert result.code == ExitCode.FAILED
        assert "chat.jsonl:2: neither a request (with op) nor a chat message" in result.err
        assert "chat.jsonl:3: not JSON" in result.err
        assert "2 of 3 lines are not valid, so nothing was imported" in result.err
        assert result.out == ""

    def test_many_invalid_lines_are_counted(self, agentmem: Agentmem) -> None:
        result = agentmem("import", "-", "--user", "alice", stdin=b"no\n" * 1000)
        assert result.code == ExitCode.FAILED
        assert len(result.err.splitlines()) < 30
        assert "1000 of 1000 lines" in result.err

    def test_missing_file(self, agentmem: Agentmem) -> None:
        result = agentmem("import", "none.jsonl", "--user", "alice")
        assert (result.code, result.err) == (ExitCode.USAGE, "Error: none.jsonl: No such file or directory\n")

    def test_kafka_is_not_there(self, agentmem: Agentmem, closed_port: int) -> None:
        result = agentmem(
            "import",
            "-",
            "--user",
            "alice",
            stdin=b'{"role": "user", "content": "Hi"}',
            AGENTMEM_KAFKA_BOOTSTRAP_SERVERS=f"127.0.0.1:{closed_port}",
        )
        assert result.code == ExitCode.UNAVAILABLE
        assert "0 of 1 requests published" in result.err
        assert "Error: Kafka is unavailable" in result.err


class TestStores:
    def test_topics_without_kafka(self, agentmem: Agentmem, closed_port: int) -> None:
        result = agentmem("topics", AGENTMEM_KAFKA_BOOTSTRAP_SERVERS=f"127.0.0.1:{closed_port}")
        assert result.code == ExitCode.UNAVAILABLE
        assert result.err.splitlines()[-1].startswith("Error: Kafka is unavailable")

    def test_migrate_without_postgres(self, agentmem: Agentmem, closed_port: int) -> None:
        result = agentmem("migrate", AGENTMEM_POSTGRES_DSN=f"postgresql://me:hunter2@127.0.0.1:{closed_port}/x")
        assert result.code == ExitCode.UNAVAILABLE
        assert result.err.startswith("Error: Postgres is unavailable")
        assert "hunter2" not in result.err


class TestGatewayClients:
    def test_a_key_is_needed(self, agentmem: Agentmem) -> None:
        result = agentmem("search", "x", "--user", "alice")
        assert result.code == ExitCode.USAGE
        assert "set AGENTMEM_API_KEY" in result.err

    @pytest.mark.parametrize(
        "arguments",
        [("search", "x", "--user", "a"), ("tail",), ("history", "2f7f3f0e-3a52-5a63-9a41-0f6a3f0c2b11")],
    )
    def test_no_gateway(self, agentmem: Agentmem, closed_port: int, arguments: tuple[str, ...]) -> None:
        url = f"http://127.0.0.1:{closed_port}"
        result = agentmem(*arguments, AGENTMEM_URL=url, AGENTMEM_API_KEY="k")
        assert result.code == ExitCode.UNAVAILABLE
        assert result.err.startswith(f"Error: no gateway answers at {url}: start one")

    def test_something_else_answers(self, agentmem: Agentmem, stranger: str) -> None:
        result = agentmem("search", "x", "--user", "a", AGENTMEM_URL=stranger, AGENTMEM_API_KEY="k")
        assert result.code == ExitCode.MISCONFIGURED
        assert "is not an AgentMem gateway" in result.err

    def test_a_stack_that_runs_here_is_found(self, agentmem: Agentmem, closed_port: int) -> None:
        (agentmem.folder / ".agentmem").mkdir()
        url = f"http://127.0.0.1:{closed_port}"
        (agentmem.folder / ".agentmem" / "dev.env").write_text(f"AGENTMEM_URL={url}\nAGENTMEM_API_KEY=k\n")
        assert f"no gateway answers at {url}" in agentmem("search", "x", "--user", "a").err


def test_ctrl_c_ends_quietly(agentmem: Agentmem) -> None:
    # A server that takes the connection and never answers.
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        command = agentmem.with_environment(AGENTMEM_URL=url, AGENTMEM_API_KEY="k")
        with command.running("tail") as tail:
            connection, _ = server.accept()
            with connection:
                assert tail.interrupt() == ExitCode.INTERRUPTED
        assert "".join(tail.lines).strip() == ""
