"""Models in OpenVINO on the CPU."""

from __future__ import annotations

import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from infra.onnx.settings import Variant
from schemas.problems import MisconfiguredError

_DEVICE: Final = "CPU"
_PRECISIONS: Final[dict[Variant, str]] = {"fp32": "f32", "bf16": "bf16"}


class OpenVinoSession:
    """A model file in OpenVINO: a ``Session``. Runs ``threads`` micro-batches at once, each on one core."""

    errors = (RuntimeError,)

    def __init__(self, path: Path, variant: Variant, threads: int) -> None:
        # It would tell its maker about each start, and keep an id in the home directory; OpenVINO does without.
        sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
        try:
            import openvino
        except ModuleNotFoundError as error:
            raise MisconfiguredError(
                "embedding.provider openvino needs the package openvino: install requirements/openvino.lock "
                "(extra: openvino) in place of runtime.lock, or set embedding.provider to cpu."
            ) from error
        core = openvino.Core()
        if variant == "bf16" and "BF16" not in core.get_property(_DEVICE, "OPTIMIZATION_CAPABILITIES"):
            raise MisconfiguredError(
                "embedding.variant bf16: this machine's CPU has no bf16 instructions (AVX512-BF16 or AMX). Set "
                "embedding.variant to fp32, or embedding.provider to cpu and the variant to int8."
            )
        config = {
            "INFERENCE_PRECISION_HINT": _PRECISIONS[variant],
            "NUM_STREAMS": threads,
            "INFERENCE_NUM_THREADS": threads,
            # Several processes on one machine would pin themselves to the same cores.
            "ENABLE_CPU_PINNING": False,
        }
        try:
            self._compiled = core.compile_model(core.read_model(path), _DEVICE, config)
        except RuntimeError as error:
            raise MisconfiguredError(f"OpenVINO cannot load {path}: {error}") from error
        self.inputs = {port.any_name: str(port.element_type.to_dtype()) for port in self._compiled.inputs}
        self.outputs = {port.any_name: len(port.partial_shape) for port in self._compiled.outputs}
        self._requests = threading.local()

    def run(self, output: str, feeds: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
        # A request serves one caller at a time.
        if not hasattr(self._requests, "own"):
            self._requests.own = self._compiled.create_infer_request()
        results = self._requests.own.infer(dict(feeds), share_inputs=True)
        return np.asarray(results[output])
