"""Latencies in a few numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

_SHOWN: Final = (50, 95, 99)


def percentiles(seconds: Sequence[float]) -> dict[str, float]:
    """The 50th, 95th and 99th percentile, in milliseconds; each one is a latency that was measured."""
    values = np.percentile(seconds, _SHOWN, method="inverted_cdf")
    return {f"p{shown}": round(float(value) * 1000, 1) for shown, value in zip(_SHOWN, values, strict=True)}
