"""Packages whose names are imported when they are asked for: reading settings must not load a store's client."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module


def exports(package: str, homes: Mapping[str, str], before: str | None = None) -> Callable[[str], object]:
    """The ``__getattr__`` of a package whose names live in its modules ``homes``.

    ``before`` names a module of the package to import ahead of the others.
    """

    def load(name: str) -> object:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        if before is not None:
            import_module(f"{package}.{before}")
        return getattr(import_module(f"{package}.{homes[name]}"), name)

    return load
