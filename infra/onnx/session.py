"""What the rest of this package needs of a runtime that has loaded a model file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from numpy.typing import NDArray


class Session(Protocol):
    """A loaded model file. Thread-safe."""

    @property
    def inputs(self) -> Mapping[str, str]:
        """The element type of each input, by numpy's name."""
        ...

    @property
    def outputs(self) -> Mapping[str, int]:
        """The number of dimensions of each output, in the graph's order."""
        ...

    @property
    def errors(self) -> tuple[type[Exception], ...]:
        """What :meth:`run` raises for inputs that the graph cannot take."""
        ...

    def run(self, output: str, feeds: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
        """The value of one output; the array is the caller's."""
        ...
