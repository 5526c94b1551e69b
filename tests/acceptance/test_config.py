"""``agentmem config`` and ``agentmem completion``."""

from __future__ import annotations

import json
import shutil
import subprocess

import pytest

from agentmem.cli import COMMANDS
from agentmem.exit_codes import ExitCode
from tests.acceptance.command import Agentmem


def test_each_value_has_its_source(agentmem: Agentmem) -> None:
    (agentmem.folder / "s.toml").write_text('[kafka]\ngroup = "file"\npartitions = 3\n')
    (agentmem.folder / ".agentmem").mkdir()
    (agentmem.folder / ".agentmem" / "dev.env").write_text("AGENTMEM_URL=http://127.0.0.1:1\n")
    result = agentmem(
        *("--config", "s.toml", "--set", "kafka.retention_hours=1", "config", "--json"),
        AGENTMEM_KAFKA_GROUP="mine",
    )
    assert result.code == ExitCode.OK
    settings = json.loads(result.out)
    assert settings["kafka.group"] == {"value": "mine", "source": "environment variable AGENTMEM_KAFKA_GROUP"}
    assert settings["kafka.partitions"] == {"value": 3, "source": "s.toml"}
    assert settings["kafka.retention_hours"] == {"value": 1, "source": "the command line"}
    assert settings["url"] == {"value": "http://127.0.0.1:1", "source": "AGENTMEM_URL in .agentmem/dev.env"}
    assert settings["window.max_records"] == {"value": 256, "source": "default"}


def test_secrets_are_masked(agentmem: Agentmem) -> None:
    secretive = agentmem.with_environment(
        AGENTMEM_API_KEY="hunter2",
        AGENTMEM_POSTGRES_DSN="postgresql://me:hunter2@db:5432/x?sslpassword=hunter2",
        AGENTMEM_WEAVIATE_API_KEY="hunter2",
        AGENTMEM_URL="http://me:hunter2@h:1",
    )
    for arguments in (("config",), ("config", "--json")):
        result = secretive(*arguments)
        assert "hunter2" not in result.out
        assert "postgresql://me:***@db:5432/x?sslpassword=***" in result.out


def test_one_section_or_one_setting(agentmem: Agentmem) -> None:
    lines = agentmem("config", "window").out.splitlines()
    assert [line.split("\t")[0] for line in lines] == [
        "window.max_records",
        "window.max_bytes",
        "window.max_wait_ms",
    ]
    assert agentmem("config", "kafka.group").out == "kafka.group\tagentmem-workers\tdefault\n"
    unknown = agentmem("config", "kafk")
    assert unknown.code == ExitCode.USAGE
    assert "there is no section or setting kafk; there are url, api_key, kafka" in unknown.err


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts(agentmem: Agentmem, shell: str) -> None:
    result = agentmem("completion", shell)
    assert result.code == ExitCode.OK
    assert "_AGENTMEM_COMPLETE" in result.out
    if shutil.which(shell):
        subprocess.run([shell, "-n"], input=result.out, text=True, check=True)


def test_completions(agentmem: Agentmem) -> None:
    def completed(words: str) -> set[str]:
        number = str(len(words.split(" ")) - 1)
        result = agentmem(_AGENTMEM_COMPLETE="bash_complete", COMP_WORDS=words, COMP_CWORD=number)
        return {line.partition(",")[2] for line in result.out.splitlines()}

    assert completed("agentmem ") == set(COMMANDS)
    assert completed("agentmem config ka") == {"kafka"}
    assert completed("agentmem events --ty") == {"--type"}
