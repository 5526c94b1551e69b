"""What the long-running commands log, and where to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx

from agentmem.exit_codes import ExitCode
from tests.acceptance.command import Agentmem
from tests.acceptance.conftest import await_ready

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_each_call_is_a_line_in_the_gateways_log(configured: Agentmem) -> None:
    log = configured.folder / "gateway.log"
    command = configured.with_environment(AGENTMEM_LOG_FILE=str(log))
    url, key = command.environment["AGENTMEM_URL"], command.environment["AGENTMEM_API_KEY"]
    with command.running("gateway") as gateway:
        await_ready(command, gateway)
        headers = {"X-Request-ID": "mine-1", "traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}
        assert (
            httpx.get(f"{url}/v1/ping/", headers={**headers, "Authorization": f"Token {key}"}).status_code == 200
        )
        refused = httpx.get(f"{url}/v1/ping/", headers={"Authorization": "Token wrong"})
        assert refused.status_code == 401
        assert gateway.interrupt() == ExitCode.OK
    assert gateway.lines == []  # all is in the file

    calls = [line for line in lines(log) if line["event"] == "call"]
    assert [call["path"] for call in calls] == ["/v1/ping/", "/v1/ping/"]  # health checks are not told
    first, second = calls
    assert (first["request_id"], first["trace_id"], first["project"]) == ("mine-1", TRACE, "default")
    assert (first["method"], first["route"], first["status"], first["level"]) == ("GET", "/v1/ping/", 200, "info")
    assert first["ms"] > 0
    assert (second["status"], second["request_id"]) == (401, refused.headers["X-Request-ID"])
    assert "project" not in second
    assert "trace_id" not in second


def test_a_log_file_that_cannot_be_written(agentmem: Agentmem) -> None:
    result = agentmem("gateway", AGENTMEM_LOG_FILE=str(agentmem.folder / "none" / "x.log"))
    assert result.code == ExitCode.MISCONFIGURED
    assert "No such file or directory" in result.err
    assert "set log.file" in result.err
