"""The ONNX graph in ONNX Runtime: token ids in, one vector for each text out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as states

from infra.onnx.pooling import Floats, pool
from schemas.problems import MisconfiguredError

_SENTENCE_OUTPUT: Final = "sentence_embedding"
_INPUTS: Final = ("input_ids", "attention_mask", "token_type_ids", "position_ids")
_DTYPES: Final = {"tensor(int64)": np.int64, "tensor(int32)": np.int32}
#: What ONNX Runtime raises: it has no common base class of its own.
RUNTIME_ERRORS: Final = (
    states.EPFail,
    states.Fail,
    states.InvalidArgument,
    states.InvalidGraph,
    states.InvalidProtobuf,
    states.NoSuchFile,
    states.NotImplemented,
    states.RuntimeException,
)


class Graph:
    """A loaded model file. Thread-safe: each call of :meth:`run` keeps one core busy."""

    def __init__(self, path: Path) -> None:
        options = onnxruntime.SessionOptions()
        # One thread for each run and several runs at once: 10% (fp32) to 25% (int8) more texts per second than
        # several threads for one run, which wait for each other after every operator.
        options.intra_op_num_threads = 1
        # Shapes differ from run to run, so remembered memory patterns would only pile up.
        options.enable_mem_pattern = False
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        except RUNTIME_ERRORS as error:
            raise MisconfiguredError(f"ONNX Runtime cannot load {path}: {error}") from error
        self._dtypes = self._input_dtypes(path)
        outputs = self._session.get_outputs()
        names = {output.name for output in outputs}
        #: Whether the graph pools by itself.
        self.pools = _SENTENCE_OUTPUT in names
        if self.pools:
            self._output = _SENTENCE_OUTPUT
        else:
            by_token = [output.name for output in outputs if len(output.shape) == 3]
            if not by_token:
                raise MisconfiguredError(
                    f"{path} has no output {_SENTENCE_OUTPUT} and none with a vector for each token, "
                    f"only {', '.join(sorted(names))}: export the model for feature extraction."
                )
            self._output = by_token[0]

    def _input_dtypes(self, path: Path) -> dict[str, Any]:
        dtypes = {}
        for tensor in self._session.get_inputs():
            if tensor.name not in _INPUTS or tensor.type not in _DTYPES:
                raise MisconfiguredError(
                    f"{path} wants an input {tensor.name} of type {tensor.type}, which a text encoder does not "
                    f"have; known are {', '.join(_INPUTS)}."
                )
            dtypes[tensor.name] = _DTYPES[tensor.type]
        if "input_ids" not in dtypes:
            raise MisconfiguredError(f"{path} has no input input_ids: it is not a text encoder.")
        return dtypes

    def run(self, ids: Sequence[Sequence[int]], pad_id: int, modes: tuple[str, ...]) -> Floats:
        """Vectors of some texts' token ids, (texts, dimension), as they come: not of unit length."""
        length = max(map(len, ids))
        tokens = np.full((len(ids), length), pad_id, dtype=np.int64)
        mask = np.zeros((len(ids), length), dtype=np.int64)
        for row, text in enumerate(ids):
            tokens[row, : len(text)] = text
            mask[row, : len(text)] = 1
        feeds = {
            "input_ids": tokens,
            "attention_mask": mask,
            "token_type_ids": np.zeros_like(tokens),
            "position_ids": np.broadcast_to(np.arange(length), tokens.shape),
        }
        wanted = {name: np.ascontiguousarray(feeds[name], dtype=dtype) for name, dtype in self._dtypes.items()}
        output = np.asarray(self._session.run([self._output], wanted)[0], dtype=np.float32)
        return output if self.pools else pool(output, mask.astype(np.float32), modes)
