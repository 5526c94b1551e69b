"""This machine: Python, its packages, and room on the disks."""

from __future__ import annotations

import platform
import re
import shutil
from collections import defaultdict
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Final

import agentmem
from agentmem.doctor.findings import Finding, failed, ok, warning
from agentmem.exit_codes import ExitCode
from agentmem.settings import Settings

_MIB: Final = 1024 * 1024
#: Below it a stack does not start.
_LEAST_MIB: Final = 500
_LITTLE_MIB: Final = 2048
#: Weaviate refuses writes when its disk is fuller than this, by its own default. It counts what is in use: what a
#: file system keeps back for root is free to Weaviate, and not to us.
_WEAVIATE_STOPS_AT: Final = 0.9
#: The lock that this version is tested with, in a checkout.
_LOCK: Final = Path(agentmem.__file__).parents[1] / "requirements" / "runtime.lock"
_PIN: Final = re.compile(r"^([\w.-]+)==([^\s;]+)(.*)$", re.MULTILINE)


async def packages_check() -> list[Finding]:
    """The installed packages are those that this version is tested with."""
    about = f"agentmem {agentmem.__version__}, Python {platform.python_version()}"
    if missing := [name for name in _required() if _installed(name) is None]:
        return [failed(f"{about}; not installed: {', '.join(missing)}", "install agentmem again", ExitCode.FAILED)]
    if not _LOCK.is_file():
        return ok(about)
    differing = _differing(_LOCK.read_text())
    if differing:
        remedy = f"pip install --require-hashes -r {_LOCK}, or know that this mix is not tested"
        return [warning(f"{about}; not as in the lock: {', '.join(differing)}", remedy)]
    return ok(f"{about}, packages as in the lock")


def _required() -> list[str]:
    return [re.split(r"[^\w.-]", line)[0] for line in requires("agentmem") or [] if "extra ==" not in line]


def _differing(lock: str) -> list[str]:
    pinned = defaultdict(set)
    for name, pin, _marker in _PIN.findall(lock):
        pinned[name].add(pin)
    found = ((name, _installed(name), pins) for name, pins in pinned.items())
    # What is not installed is for another platform: what we need ourselves was looked for before.
    return [f"{name} {here}" for name, here, pins in found if here is not None and here not in pins]


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


async def disk_check(settings: Settings) -> list[Finding]:
    """There is room where the local stack, the models and the log are kept."""
    places = [(settings.local.home, "the local stack"), (settings.embedding.cache_dir, "models")]
    if settings.log.file is not None:
        places.append((settings.log.file.absolute().parent, "the log"))
    disks: dict[int, tuple[Path, list[str]]] = {}
    for place, purpose in places:
        there = _existing(place)
        disks.setdefault(there.stat().st_dev, (there, []))[1].append(purpose)
    stacks = _existing(settings.local.home / "stacks")
    found: list[Finding] = []
    for path, purposes in disks.values():
        found += _disk(path, ", ".join(purposes), stack=stacks.name == "stacks" and _same_disk(path, stacks))
    return found


def _disk(path: Path, purposes: str, *, stack: bool) -> list[Finding]:
    usage = shutil.disk_usage(path)
    free = usage.free // _MIB
    detail = f"{free:,} MB free in {path} ({purposes})"
    remedy = "make room, or set AGENTMEM_HOME and embedding.cache_dir to directories on another disk"
    if free < _LEAST_MIB:
        return [failed(detail, remedy, ExitCode.FAILED)]
    if stack and usage.used > usage.total * _WEAVIATE_STOPS_AT:
        return [warning(f"{detail}; on a disk that is over 90% full Weaviate refuses writes", remedy)]
    return [warning(detail, remedy)] if free < _LITTLE_MIB else ok(detail)


def _existing(path: Path) -> Path:
    return next(place for place in (path.absolute(), *path.absolute().parents) if place.exists())


def _same_disk(one: Path, other: Path) -> bool:
    return one.stat().st_dev == other.stat().st_dev
