"""A text encoder's graph in some runtime: token ids in, one vector for each text out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from infra.onnx.pooling import Floats, pool
from infra.onnx.session import Session
from schemas.problems import MisconfiguredError

_SENTENCE_OUTPUT: Final = "sentence_embedding"
_INPUTS: Final = ("input_ids", "attention_mask", "token_type_ids", "position_ids")
_DTYPES: Final = {"int64": np.int64, "int32": np.int32}


class Graph:
    """A loaded model file. Thread-safe."""

    def __init__(self, session: Session, path: Path) -> None:
        self._session = session
        self._dtypes = self._input_dtypes(path)
        #: What :meth:`run` raises for token ids that the graph cannot take.
        self.errors = session.errors
        #: Whether the graph pools by itself.
        self.pools = _SENTENCE_OUTPUT in session.outputs
        if self.pools:
            self._output = _SENTENCE_OUTPUT
        else:
            by_token = [name for name, rank in session.outputs.items() if rank == 3]
            if not by_token:
                raise MisconfiguredError(
                    f"{path} has no output {_SENTENCE_OUTPUT} and none with a vector for each token, "
                    f"only {', '.join(sorted(session.outputs))}: export the model for feature extraction."
                )
            self._output = by_token[0]

    def _input_dtypes(self, path: Path) -> dict[str, Any]:
        for name, dtype in self._session.inputs.items():
            if name not in _INPUTS or dtype not in _DTYPES:
                raise MisconfiguredError(
                    f"{path} wants an input {name} of type {dtype}, which a text encoder does not "
                    f"have; known are {', '.join(_INPUTS)}."
                )
        if "input_ids" not in self._session.inputs:
            raise MisconfiguredError(f"{path} has no input input_ids: it is not a text encoder.")
        return {name: _DTYPES[dtype] for name, dtype in self._session.inputs.items()}

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
        output = np.asarray(self._session.run(self._output, wanted), dtype=np.float32)
        return output if self.pools else pool(output, mask.astype(np.float32), modes)
