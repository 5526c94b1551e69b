"""``agentmem stack`` and ``agentmem run``, as a user starts them."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import psycopg2
import pytest

from infra.local.settings import LocalSettings
from tests.stack import read_addresses

COMMAND = (sys.executable, "-m", "agentmem")
CLIENT_VARIABLES = {
    "AGENTMEM_URL",
    "AGENTMEM_API_KEY",
    "AGENTMEM_WORKER_PORT",
    "AGENTMEM_KAFKA_BOOTSTRAP_SERVERS",
    "AGENTMEM_POSTGRES_DSN",
    "AGENTMEM_WEAVIATE_URL",
    "AGENTMEM_WEAVIATE_GRPC",
}
STOP_WITHIN_S = 60


@dataclass(frozen=True)
class Project:
    """A folder with a stack of its own. The downloads and builds are those of all."""

    folder: Path
    stack: Path
    env: dict[str, str]

    @property
    def dev_env(self) -> Path:
        return self.folder / ".agentmem" / "dev.env"

    def agentmem(self, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*COMMAND, *arguments],
            cwd=self.folder,
            env={**self.env, **env},
            capture_output=True,
            text=True,
            timeout=250,
            check=False,
        )

    def processes(self) -> list[str]:
        """The command lines of all processes that work in the stack's directory."""
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if (process / "cwd").resolve().is_relative_to(self.stack):
                    found.append((process / "cmdline").read_text().replace("\0", " "))
            except OSError:
                continue
        return found


@pytest.fixture
def project(tmp_path: Path, clean_environment: dict[str, str]) -> Iterator[Project]:
    name = f"test-{uuid4().hex[:8]}"
    home = LocalSettings().home
    env = {**clean_environment, "AGENTMEM_HOME": str(home), "AGENTMEM_LOCAL_NAME": name}
    project = Project(tmp_path, home / "stacks" / name, env)
    yield project
    project.agentmem("stack", "down")
    assert project.processes() == []
    shutil.rmtree(project.stack, ignore_errors=True)


def test_the_stores_start_in_the_background_and_stop(project: Project) -> None:
    up = project.agentmem("stack", "up", "--stores-only")
    assert up.returncode == 0, up.stderr
    assert project.dev_env.stat().st_mode & 0o777 == 0o600

    sourced = subprocess.run(
        ["sh", "-c", f"set -a; . {project.dev_env}; env -i $(cat {project.dev_env}) env | sort; echo $KAFKA_HOME"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    addresses = read_addresses(project.dev_env)
    assert dict(line.split("=", 1) for line in sourced[:-1]) == addresses
    assert sourced[-1] == addresses["KAFKA_HOME"]

    before = json.loads(project.agentmem("stack", "status", "--json").stdout)
    assert before["running"]
    assert set(before["services"]) == {"kafka", "postgres", "weaviate"}
    assert before["addresses"] == addresses
    assert project.agentmem("stack", "up", "--stores-only").returncode == 0
    assert json.loads(project.agentmem("stack", "status", "--json").stdout) == before

    psycopg2.connect(addresses["AGENTMEM_POSTGRES_DSN"]).close()
    with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
        psycopg2.connect(addresses["AGENTMEM_POSTGRES_DSN"].replace("://agentmem:", "://agentmem:not"))

    # One that dies is noticed, and started again with the rest.
    os.kill(before["services"]["kafka"]["pid"], signal.SIGKILL)
    status = project.agentmem("stack", "status")
    assert status.returncode == 1
    assert "kafka\tended" in status.stdout
    assert project.agentmem("stack", "up", "--stores-only").returncode == 0
    assert read_addresses(project.dev_env) == addresses

    assert project.agentmem("stack", "down").stdout == "The stack is stopped.\n"
    assert not project.dev_env.exists()
    assert project.processes() == []
    assert project.agentmem("stack", "down").stdout == "The stack was not running.\n"
    assert project.agentmem("stack", "status").returncode == 1


def test_run_once_shows_everything_and_leaves_nothing_running(project: Project) -> None:
    run = project.agentmem("run", "--once")
    assert run.returncode == 0, run.stderr
    assert run.stdout.count("agentmem.memory.added") == 12
    assert "hazelnuts" in run.stdout.partition("Searches")[2]
    assert project.processes() == []
    assert not project.dev_env.exists()


def test_run_stays_up_until_it_is_told_to_stop(project: Project) -> None:
    with start(project) as run:
        said = read_until(run, "Ctrl-C stops everything")
        addresses = read_addresses(project.dev_env)
        assert set(addresses) >= CLIENT_VARIABLES
        assert addresses["AGENTMEM_API_KEY"] in said
        second = project.agentmem("run")
        assert second.returncode == 1
        assert "Another process runs or starts the stack" in second.stderr
        found = project.agentmem("search", "What about food allergies?", "--user", "nora", "--top-k", "1")
        assert "hazelnuts" in found.stdout, found.stderr
        checks = json.loads(project.agentmem("doctor", "--json").stdout)["checks"]
        [worker] = [check for check in checks if check["check"] == "worker"]
        assert (worker["status"], worker["detail"]) == ("ok", "the worker is ready")
        run.send_signal(signal.SIGINT)
        assert run.wait(STOP_WITHIN_S) == 0
    assert project.processes() == []
    assert not project.dev_env.exists()

    # The same key and addresses the next time; another terminal can end it.
    with start(project) as run:
        read_until(run, "Ctrl-C stops everything")
        assert read_addresses(project.dev_env) == addresses
        assert project.agentmem("stack", "down").returncode == 0
        assert run.wait(STOP_WITHIN_S) == 0


def test_nothing_survives_a_run_that_is_killed(project: Project) -> None:
    with start(project) as run:
        read_until(run, "Searches")
        run.kill()
    for _ in range(STOP_WITHIN_S):
        if not project.processes():
            break
        signal.sigtimedwait([], 1)
    assert project.processes() == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_start_is_undone(project: Project, number: signal.Signals) -> None:
    with start(project) as run:
        assert run.stderr is not None
        while "Starting" not in run.stderr.readline():
            assert run.poll() is None
        run.send_signal(number)
        assert run.wait(STOP_WITHIN_S) == 130
    assert project.processes() == []


def test_a_taken_port_is_one_clear_sentence(project: Project) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        up = project.agentmem("stack", "up", AGENTMEM_LOCAL_POSTGRES_PORT=port)
    assert up.returncode == 1
    assert f"Port {port} is taken by another program" in up.stderr
    assert "Traceback" not in up.stderr


def test_a_missing_tool_is_one_clear_sentence(project: Project) -> None:
    up = project.agentmem("stack", "up", PATH=str(project.folder))
    assert up.returncode == 1
    assert "java is not installed or not on the PATH. Install a JDK 17" in up.stderr
    assert "Traceback" not in up.stderr


def start(project: Project) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*COMMAND, "run"],
        cwd=project.folder,
        env={**project.env, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def read_until(run: subprocess.Popen[str], text: str) -> str:
    """What it has printed, up to the line with this text."""
    assert run.stdout is not None
    assert run.stderr is not None
    said = ""
    for line in run.stdout:
        said += line
        if text in line:
            return said
    raise AssertionError(f"it ended without saying {text!r}:\n{said}\n{run.stderr.read()}")
