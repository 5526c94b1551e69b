"""mem0's JavaScript client, unmodified, against the gateway."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from tests.integration.gateway_world import World

_SOURCE = Path(__file__).parent.parent / "clients" / "js"


async def test_the_client_works_unmodified(world: World, node_modules: Path, tmp_path: Path) -> None:
    environment = os.environ | {
        "NODE_PATH": str(node_modules),
        "AGENTMEM_TEST_HOST": str(world.client.make_url("/")).rstrip("/"),
        "AGENTMEM_TEST_KEY": world.token,
        "MEM0_TELEMETRY": "false",
        "MEM0_DIR": str(tmp_path),
    }
    process = await asyncio.create_subprocess_exec(
        *("node", "--test", str(_SOURCE / "mem0.test.cjs")),
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(200):
        output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
