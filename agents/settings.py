"""Settings of the worker itself."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from schemas.live import Live


class WorkerSettings(BaseModel):
    """How a worker looks after itself."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str = Field("127.0.0.1", description="The address of the worker's health and metrics port.")
    port: int = Field(0, ge=0, le=65_535, description="The worker's health and metrics port; 0: none.")
    watchdog_s: Live[float] = Field(
        120.0,
        ge=10,
        le=86_400,
        description="A worker with work and all stores up that commits nothing for so many seconds ends.",
    )
    republish_after_s: Live[float] = Field(
        60.0,
        gt=0,
        le=86_400,
        description="A request that a gateway accepted this many seconds ago and that never arrived is published again.",  # noqa: E501
    )
    delete_expired_after_h: Live[float] = Field(
        720.0,
        ge=0,
        le=876_000,
        description="Memories that expired this many hours ago are deleted; until then they are hidden.",
    )
    sweep_interval_s: Live[float] = Field(
        60.0,
        gt=0,
        le=86_400,
        description="How often, in seconds, recently changed memories are compared with the search index.",
    )
    sweep_grace_s: Live[float] = Field(
        10.0,
        ge=0,
        le=3_600,
        description="Changes younger than this many seconds are left to the batch that made them.",
    )
    verify_rows_per_s: Live[float] = Field(
        20.0,
        ge=0,
        le=100_000,
        description="How many memories a second all workers together compare with the search index, all the time; 0: none.",  # noqa: E501
    )
