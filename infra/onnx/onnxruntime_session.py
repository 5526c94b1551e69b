"""Models in ONNX Runtime, on the CPU or on an NVIDIA GPU."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as states

from schemas.problems import MisconfiguredError

_CPU: Final = "CPUExecutionProvider"
_CUDA: Final = "CUDAExecutionProvider"
_CUDA_OPTIONS: Final = {
    # fp32 is to mean fp32: TF32 keeps 10 bits of the 23.
    "use_tf32": 0,
    # The default doubles the arena each time it is full.
    "arena_extend_strategy": "kSameAsRequested",
}
#: What ONNX Runtime raises: it has no common base class of its own.
_ERRORS: Final = (
    states.EPFail,
    states.Fail,
    states.InvalidArgument,
    states.InvalidGraph,
    states.InvalidProtobuf,
    states.NoSuchFile,
    states.NotImplemented,
    states.RuntimeException,
)


class OnnxRuntimeSession:
    """A model file in ONNX Runtime: a ``Session``. On the CPU, each :meth:`run` keeps one core busy."""

    errors = _ERRORS

    def __init__(self, path: Path, provider: str, provider_options: Mapping[str, Any]) -> None:
        options = onnxruntime.SessionOptions()
        # One thread for each run and several runs at once: 10% (fp32) to 25% (int8) more texts per second than
        # several threads for one run, which wait for each other after every operator.
        options.intra_op_num_threads = 1
        # Shapes differ from run to run, so remembered memory patterns would only pile up.
        options.enable_mem_pattern = False
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(
                path, options, providers=[(provider, dict(provider_options))]
            )
        except _ERRORS as error:
            raise MisconfiguredError(f"ONNX Runtime cannot load {path}: {error}") from error
        self.providers: list[str] = self._session.get_providers()
        self.inputs = {tensor.name: _numpy_name(tensor.type) for tensor in self._session.get_inputs()}
        self.outputs = {tensor.name: len(tensor.shape) for tensor in self._session.get_outputs()}

    def run(self, output: str, feeds: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
        return np.asarray(self._session.run([output], feeds)[0])


def open_cpu(path: Path) -> OnnxRuntimeSession:
    """The model on the CPU."""
    return OnnxRuntimeSession(path, _CPU, {})


def has_cuda() -> bool:
    """Whether the installed ONNX Runtime was built for NVIDIA GPUs; says nothing about the machine."""
    return _CUDA in onnxruntime.get_available_providers()


def open_cuda(path: Path) -> OnnxRuntimeSession:
    """The model on the first visible NVIDIA GPU (``CUDA_VISIBLE_DEVICES`` chooses).

    Raises :class:`MisconfiguredError` where there is no GPU: ONNX Runtime itself would quietly use the CPU.
    """
    if not has_cuda():
        raise MisconfiguredError(_why_no_cuda())
    # It finds CUDA's libraries in installed packages, and prints what it does not find.
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        onnxruntime.preload_dlls()
    session = OnnxRuntimeSession(path, _CUDA, _CUDA_OPTIONS)
    if _CUDA not in session.providers:
        missing = (printed.getvalue().strip().splitlines() or ["no further reason given"])[0]
        raise MisconfiguredError(
            f"embedding.provider cuda: ONNX Runtime finds no usable NVIDIA GPU here ({missing}). Check that "
            "nvidia-smi shows one and that its driver is new enough for CUDA "
            f"{getattr(onnxruntime, 'cuda_version', '')}, or set embedding.provider to cpu."
        )
    return session


def _why_no_cuda() -> str:
    if _is_installed("onnxruntime-gpu") and _is_installed("onnxruntime"):
        return (
            "embedding.provider cuda: the packages onnxruntime and onnxruntime-gpu are both installed and "
            "overwrite each other. Install requirements/cuda.lock in a new virtual environment: it has only "
            "onnxruntime-gpu."
        )
    return (
        "embedding.provider cuda needs the package onnxruntime-gpu in place of onnxruntime: install "
        "requirements/cuda.lock (extra: cuda) in a new virtual environment, or set embedding.provider to cpu."
    )


def _is_installed(package: str) -> bool:
    try:
        version(package)
    except PackageNotFoundError:
        return False
    return True


def _numpy_name(onnx_type: str) -> str:
    return onnx_type.removeprefix("tensor(").removesuffix(")")
