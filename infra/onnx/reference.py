"""The vectors to measure others by: those that fp32 gives for the check sentences in ONNX Runtime on the CPU."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np
import onnxruntime

from infra.onnx.pooling import Floats
from schemas.problems import MisconfiguredError

#: Short and long, plain and odd: what every provider and variant must embed as fp32 does.
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


def reference_vectors(content: str, cache_dir: Path, compute: Callable[[], Floats]) -> Floats:
    """The fp32 vectors of :data:`CHECK_SENTENCES` for the model with the hash ``content``: one unit row each.

    ``compute`` gives them; it is only called if the cache does not have them.
    """
    sentences = hashlib.sha256("\0".join(CHECK_SENTENCES).encode()).hexdigest()
    path = cache_dir / "onnx" / f"{content[:16]}-fp32-{sentences[:8]}-ort{onnxruntime.__version__}.npy"
    try:
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            _write(path, compute())
        vectors: Floats = np.load(path)
    except (OSError, ValueError, EOFError) as error:
        raise MisconfiguredError(
            f"the fp32 vectors in {path} cannot be made or read: {error}. Check the disk and "
            "embedding.cache_dir; if the file is there, delete it."
        ) from error
    return vectors


def _write(path: Path, vectors: Floats) -> None:
    descriptor, part = tempfile.mkstemp(dir=path.parent, prefix=f"{path.name}.")
    with os.fdopen(descriptor, "wb") as file:
        np.save(file, vectors)
    Path(part).replace(path)
