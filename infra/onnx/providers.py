"""The execution providers: what runs a model file, and how it is best fed."""

from __future__ import annotations

import importlib.util
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from infra.onnx.onnxruntime_session import has_cuda, open_cpu, open_cuda
from infra.onnx.openvino_session import OpenVinoSession
from infra.onnx.session import Session
from infra.onnx.settings import EmbeddingSettings, ProviderName, Variant


@dataclass(frozen=True, slots=True)
class Feeding:
    """How many micro-batches run at once, how many tokens each may have, and whether few texts make as many."""

    threads: int
    micro_batch_tokens: int
    shares: bool


#: Two on a GPU, so that one is prepared while the other runs; a GPU needs many texts at once.
_ON_GPU: Final = Feeding(threads=2, micro_batch_tokens=16_384, shares=False)


def feeding(settings: EmbeddingSettings) -> Feeding:
    """What the settings say, or else what suits the provider."""
    cores = len(os.sched_getaffinity(0))
    suits = _ON_GPU if settings.provider == "cuda" else Feeding(cores, micro_batch_tokens=256, shares=True)
    return Feeding(
        settings.threads or suits.threads,
        settings.micro_batch_tokens or suits.micro_batch_tokens,
        suits.shares,
    )


def is_installed(provider: ProviderName) -> bool:
    """Whether the packages are there; the machine may still lack the device."""
    match provider:
        case "cpu":
            return True
        case "cuda":
            return has_cuda()
        case "openvino":
            return importlib.util.find_spec("openvino") is not None


def open_session(path: Path, provider: ProviderName, variant: Variant, threads: int) -> Session:
    """Load a model file. Raises ``MisconfiguredError`` if the provider is not here or cannot load it."""
    match provider:
        case "cpu":
            return open_cpu(path)
        case "cuda":
            return open_cuda(path)
        case "openvino":
            return OpenVinoSession(path, variant, threads)
