"""Variants of a model: made once, kept in the cache, and checked on this machine before they serve."""

from __future__ import annotations

import fcntl
import importlib.util
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import onnxruntime

from infra.onnx.embedder import Embedder
from infra.onnx.pooling import Floats
from schemas.problems import BatchRejectedError, MisconfiguredError

_GRAPH: Final = "model.onnx"
_REFERENCE: Final = "fp32.npy"
#: Part of the cache key: raise it when the way int8 graphs are made changes.
_RECIPE: Final = 1

#: Short and long, plain and odd: what a variant must embed as fp32 does.
CHECK_SENTENCES: Final = (
    "I moved to Lisbon in March and work for a small bakery now.",
    "Anna: The dentist is on Tuesday at half past nine, please remind me the day before.",
    "yes",
    "What is the name of my sister's dog?",
    "Zoë liebt Käsekuchen – aber nur ohne Rosinen!",
    "Ошибка 0x80070005: доступ запрещён.",
    "def area(width: float, height: float) -> float:\n    return width * height",
    "We talked about the trip for an hour. In the end nobody wanted to fly, so we will take the night train to "
    "Vienna, stay for three days with Tom's parents, and go on to the lake if the weather holds. "
    "Maria books the tickets, I look for a place to stay, and Tom asks whether we may bring the dog.",
)


@dataclass(frozen=True, slots=True)
class CachedVariant:
    """A variant's graph, and the vectors that fp32 gave for :data:`CHECK_SENTENCES`."""

    graph: Path
    reference: Floats


def int8_variant(source: Path, content: str, cache_dir: Path, reference: Callable[[], Floats]) -> CachedVariant:
    """The int8 variant of the model file ``source`` with the hash ``content``, made if the cache has none.

    ``reference`` gives the vectors of the unchanged model; it is only called when the variant is made.
    """
    key = f"{content[:16]}-int8-{_RECIPE}-ort{onnxruntime.__version__}"
    directory = cache_dir / "onnx" / key
    try:
        if not directory.is_dir():
            directory.parent.mkdir(parents=True, exist_ok=True)
            with (directory.parent / f"{key}.lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                if not directory.is_dir():
                    _make(source, directory, reference)
        return CachedVariant(directory / _GRAPH, np.load(directory / _REFERENCE))
    except (OSError, ValueError) as error:
        raise MisconfiguredError(
            f"the int8 model in {directory} cannot be made or read: {error}. Check the disk and "
            "embedding.cache_dir; if the folder is there, delete it."
        ) from error


def _make(source: Path, directory: Path, reference: Callable[[], Floats]) -> None:
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
    np.save(part / _REFERENCE, reference())
    part.rename(directory)


def check_variant(embedder: Embedder, reference: Floats, min_cosine: float) -> None:
    """Refuse a variant whose vectors of the check sentences lie too far from those of fp32."""
    try:
        vectors = embedder.embed(CHECK_SENTENCES).vectors
        mean = float((vectors * reference).sum(axis=1).mean())
    except (BatchRejectedError, ValueError):  # vectors of no length, or of another shape
        mean = 0.0
    if mean < min_cosine:
        variant = embedder.identity.variant
        raise MisconfiguredError(
            f"embedding.variant {variant} is not close enough to fp32 on this machine: the mean cosine is "
            f"{mean:.3f}, embedding.min_cosine is {min_cosine:.3f}. Set embedding.variant to fp32."
        )
