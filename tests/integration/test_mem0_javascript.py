"""mem0's JavaScript client, unmodified, against the gateway."""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from platformdirs import user_cache_path

from tests.integration.gateway_world import World

_SOURCE = Path(__file__).parent.parent / "clients" / "js"
_INSTALL = [
    "npm",
    "ci",
    "--omit=dev",
    "--omit=optional",
    "--omit=peer",
    "--ignore-scripts",
    "--no-audit",
    "--no-fund",
]


@pytest.fixture(scope="session")
def node_modules() -> Path:
    """The client as its lock file pins it, installed once for each lock file."""
    if shutil.which("node") is None:
        pytest.skip("there is no Node")
    lock = (_SOURCE / "package-lock.json").read_bytes()
    place = user_cache_path("agentmem") / f"mem0-js-{hashlib.sha256(lock).hexdigest()[:16]}"
    if not place.exists():
        building = place.with_suffix(f".{os.getpid()}")
        building.mkdir(parents=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(_SOURCE / name, building)
        subprocess.run(_INSTALL, cwd=building, check=True, timeout=240, stdout=subprocess.DEVNULL)
        try:
            building.rename(place)
        except OSError:  # another process was faster
            shutil.rmtree(building)
    return place / "node_modules"


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
