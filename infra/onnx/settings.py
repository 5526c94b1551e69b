"""Settings of the embedding model."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from platformdirs import user_cache_path
from pydantic import BaseModel, ConfigDict, Field, model_validator

Variant = Literal["fp32", "int8"]


class EmbeddingSettings(BaseModel):
    """Which model makes the vectors, and how much of the machine it may use."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str = Field(
        "sentence-transformers/all-MiniLM-L6-v2",
        min_length=1,
        description="A sentence-transformers model exported to ONNX: a directory, or its id on Hugging Face.",
    )
    revision: str | None = Field(
        "c9745ed1d9f207416be6d2e6f8de32d1f16199bf",
        description="The full commit hash of a hub model. A directory has none: its content identifies it.",
    )
    variant: Variant = Field(
        "fp32",
        description="fp32 runs the model as published; int8 is over twice as fast, its vectors a little off.",
    )
    threads: int = Field(0, ge=0, le=512, description="Micro-batches that run at once; 0 means one for each core.")
    micro_batch_tokens: int = Field(
        256,
        ge=1,
        le=1_000_000,
        description="Tokens in a micro-batch, padding included; a longer text runs alone.",
    )
    min_cosine: float = Field(
        0.97,
        ge=0.0,
        le=1.0,
        description="A variant serves only if its mean cosine to fp32 on a few sentences is at least this.",
    )
    cache_dir: Path = Field(
        default_factory=lambda: user_cache_path("agentmem"),
        description="Where downloaded and int8 models are kept; safe to delete while nothing runs.",
    )

    @model_validator(mode="before")
    @classmethod
    def _default_revision_is_of_the_default_model(cls, data: Any) -> Any:
        if isinstance(data, dict) and "model" in data and "revision" not in data:
            return {**data, "revision": None}
        return data
