"""mem0's JavaScript client, as the lock file beside pins it."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

from platformdirs import user_cache_path

SOURCE = Path(__file__).parent / "js"
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


def installed_modules() -> Path:
    """The folder with the client, installed once for each lock file."""
    lock = (SOURCE / "package-lock.json").read_bytes()
    place = user_cache_path("agentmem") / f"mem0-js-{hashlib.sha256(lock).hexdigest()[:16]}"
    if not place.exists():
        building = place.with_suffix(f".{os.getpid()}")
        building.mkdir(parents=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(SOURCE / name, building)
        subprocess.run(_INSTALL, cwd=building, check=True, timeout=240, stdout=subprocess.DEVNULL)
        try:
            building.rename(place)
        except OSError:  # another process was faster
            shutil.rmtree(building)
    return place / "node_modules"
