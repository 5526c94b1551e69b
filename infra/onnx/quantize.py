"""Make an int8 graph of a model file: ``python -m infra.onnx.quantize SOURCE TARGET``.

A program of its own, because it needs several times the model's size in memory, which a worker would keep.
"""

from __future__ import annotations

import sys
from pathlib import Path


def quantize(source: Path, target: Path) -> None:
    """Quantise the weights to int8, one scale per channel; activations are quantised as they come."""
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(
        source,
        target,
        per_channel=True,
        weight_type=QuantType.QInt8,
        # The type where the graph does not state one, as in exports that keep no shapes.
        extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT},
    )


if __name__ == "__main__":
    quantize(Path(sys.argv[1]), Path(sys.argv[2]))
