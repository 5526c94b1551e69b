"""The int8 graph of a model: made once and kept in the cache."""

from __future__ import annotations

import fcntl
import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import onnxruntime

from schemas.problems import MisconfiguredError

_GRAPH: Final = "model.onnx"
#: Part of the cache key: raise it when the way int8 graphs are made changes.
_RECIPE: Final = 1


def int8_graph(source: Path, content: str, cache_dir: Path) -> Path:
    """The int8 graph of the model file ``source`` with the hash ``content``, made if the cache has none."""
    key = f"{content[:16]}-int8-{_RECIPE}-ort{onnxruntime.__version__}"
    directory = cache_dir / "onnx" / key
    try:
        if not directory.is_dir():
            directory.parent.mkdir(parents=True, exist_ok=True)
            with (directory.parent / f"{key}.lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                if not directory.is_dir():
                    _make(source, directory)
    except OSError as error:
        raise MisconfiguredError(
            f"the int8 model in {directory} cannot be made: {error}. Check the disk and embedding.cache_dir."
        ) from error
    if not (directory / _GRAPH).is_file():
        raise MisconfiguredError(f"{directory} has no {_GRAPH}: delete the folder, so that it is made anew.")
    return directory / _GRAPH


def _make(source: Path, directory: Path) -> None:
    if importlib.util.find_spec("onnx") is None:
        raise MisconfiguredError(
            "making the int8 model needs the package onnx: pip install onnx, bring an embedding.cache_dir that "
            "holds it from another machine, or set embedding.variant to fp32."
        )
    part = directory.with_name(f"{directory.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    command = (sys.executable, "-m", "infra.onnx.quantize", str(source.resolve()), str(part / _GRAPH))
    made = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own program
    if made.returncode != 0:
        detail = (made.stderr.strip().splitlines() or [f"exit code {made.returncode}"])[-1]
        raise MisconfiguredError(f"cannot make int8 of {source}: {detail}. Set embedding.variant to fp32.")
    part.rename(directory)
