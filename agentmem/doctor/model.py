"""The model: it loads, and its vectors are those that it should give on this machine."""

from __future__ import annotations

import asyncio

from agentmem.doctor.examine import on_thread
from agentmem.doctor.findings import Finding, ok
from infra.onnx import EmbeddingSettings, load_embedder
from schemas.models import ModelIdentity
from schemas.problems import MisconfiguredError


class Model:
    """Loads the model once, as a worker does, for the checks that ask for it."""

    def __init__(self, settings: EmbeddingSettings) -> None:
        self._settings = settings
        self._loading: asyncio.Task[ModelIdentity] | None = None

    async def check(self) -> list[Finding]:
        """Load it; one whose vectors are too far from fp32's is refused while loading."""
        return ok(f"{await self._load()}")

    async def identity(self) -> ModelIdentity | None:
        """Which model it is; None when it cannot be loaded."""
        try:
            return await self._load()
        except MisconfiguredError:
            return None

    async def _load(self) -> ModelIdentity:
        if self._loading is None:
            self._loading = asyncio.create_task(on_thread(lambda: load_embedder(self._settings).identity))
        # The time limit of one who waits must not end it for the other.
        return await asyncio.shield(self._loading)
