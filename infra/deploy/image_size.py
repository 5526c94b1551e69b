"""How large the image becomes: ``python -m infra.deploy.image_size [--lock FILE]``; exit code 1 above the budget.

Adds up the files that the image keeps of every package of the lock, as it is installed in this environment, with
the bytecode that the image's build compiles; then AgentMem itself and the base image. So the size is known where
no image can be built. It holds for this platform; packages of the lock that are not for it do not count.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import cache_from_source
from pathlib import Path
from typing import Final

MB: Final = 1_000_000
BUDGET: Final = 500 * MB
#: python:3.11-slim is published as about 125 MB unpacked; the rest is room for its updates.
BASE: Final = 140 * MB
#: Bytecode, where this environment has none yet: it is at most as large as its source in almost every package.
_BYTECODE_OF_SOURCE: Final = 1.0
_ROOT: Final = Path(__file__).parents[2]
_OURS: Final = ("agentmem", "agents", "gateway", "infra", "schemas", "streams")
_PINNED: Final = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;]+)", re.MULTILINE)


def locked(lock: Path) -> set[str]:
    """The names of the packages that a lock pins."""
    return {name for name, _ in _PINNED.findall(lock.read_text())}


def package_bytes(name: str) -> int | None:
    """What a package takes in the image; None if it is not installed: the lock has some for other platforms."""
    try:
        files = distribution(name).files or []
    except PackageNotFoundError:
        return None
    return sum(_kept(path) for path in (Path(str(file.locate())) for file in files))


def our_bytes() -> int:
    """What AgentMem itself takes."""
    return sum(_kept(path) for package in _OURS for path in (_ROOT / package).rglob("*") if path.is_file())


def _kept(path: Path) -> int:
    # The build removes tests, and bytecode is counted with its source.
    if "tests" in path.parts[-8:-1] or path.suffix == ".pyc" or not path.is_file():
        return 0
    size = path.stat().st_size
    return size + _bytecode(path, size) if path.suffix == ".py" else size


def _bytecode(path: Path, size: int) -> int:
    compiled = Path(cache_from_source(str(path)))
    return compiled.stat().st_size if compiled.is_file() else int(size * _BYTECODE_OF_SOURCE)


def sizes(lock: Path) -> Iterator[tuple[str, int]]:
    """Each part of the image and its bytes, largest first."""
    parts = {name: size for name in locked(lock) if (size := package_bytes(name)) is not None}
    parts |= {"agentmem": our_bytes(), "(base image)": BASE}
    yield from sorted(parts.items(), key=lambda part: -part[1])


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(
        prog="python -m infra.deploy.image_size", description="How large is the image?"
    )
    parser.add_argument("--lock", type=Path, default=_ROOT / "requirements/runtime.lock")
    lock = parser.parse_args().lock
    parts = list(sizes(lock))
    total = sum(size for _, size in parts)
    lines = [f"{size / MB:7.1f} MB  {name}" for name, size in parts if size >= MB]
    rest = sum(size for _, size in parts if size < MB)
    lines += [f"{rest / MB:7.1f} MB  all others", f"{total / MB:7.1f} MB  of {BUDGET // MB} MB"]
    sys.stdout.write("\n".join(lines) + "\n")
    if total > BUDGET:
        sys.stderr.write("The image is too large: see above which package grew.\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
