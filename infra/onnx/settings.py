"""Settings of the embedding model."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, Literal

from platformdirs import user_cache_path
from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

ProviderName = Literal["cpu", "cuda", "openvino"]
Variant = Literal["fp32", "int8", "bf16"]

#: Which variants each provider has.
VARIANTS: Final[dict[ProviderName, tuple[Variant, ...]]] = {
    "cpu": ("fp32", "int8"),
    "cuda": ("fp32",),
    "openvino": ("fp32", "bf16"),
}


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
    provider: ProviderName = Field(
        "cpu",
        description="What runs the model: cpu and cuda are ONNX Runtime, openvino is OpenVINO on the CPU. All but "
        "cpu are installed from a lock of their own.",
    )
    variant: Variant = Field(
        "fp32",
        description="fp32 runs the model as published; int8 (cpu) is over twice as fast, its vectors a little "
        "off; bf16 (openvino, on CPUs that have it) is faster with the same vectors.",
    )
    threads: int = Field(
        0, ge=0, le=512, description="Micro-batches that run at once; 0 means one for each core, or 2 with cuda."
    )
    micro_batch_tokens: int = Field(
        0,
        ge=0,
        le=1_000_000,
        description="Tokens in a micro-batch, padding included; a longer text runs alone. 0 means 256, or 16384 "
        "with cuda.",
    )
    min_cosine: float = Field(
        0.97,
        ge=0.0,
        le=1.0,
        description="int8 and bf16 serve only if their mean cosine to fp32 on a few sentences is at least this, "
        "and none of them is more than three times as far off.",
    )
    cache_dir: Path = Field(
        default_factory=lambda: user_cache_path("agentmem"),
        description="Where downloaded models and what is made of them are kept; safe to delete when nothing runs.",
    )

    @model_validator(mode="before")
    @classmethod
    def _default_revision_is_of_the_default_model(cls, data: Any) -> Any:
        if isinstance(data, dict) and "model" in data and "revision" not in data:
            return {**data, "revision": None}
        return data

    @field_validator("variant")
    @classmethod
    def _provider_has_variant(cls, variant: Variant, info: ValidationInfo) -> Variant:
        provider = info.data.get("provider")  # absent if it is wrong itself
        if provider is not None and variant not in VARIANTS[provider]:
            raise ValueError(f"the provider {provider} has {' and '.join(VARIANTS[provider])} only")
        return variant
