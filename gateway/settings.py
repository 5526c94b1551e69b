"""Settings of the gateway."""

from __future__ import annotations

from pydantic import ConfigDict, Field

from gateway.settings_auth import AuthSettings
from gateway.settings_feeds import FeedSettings
from gateway.settings_limits import LimitSettings
from schemas.live import Live


class GatewaySettings(FeedSettings, LimitSettings, AuthSettings):
    """Where the gateway listens, how long it waits, and what it allows."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str = Field("127.0.0.1", min_length=1, description="The address to listen on.")
    port: int = Field(8765, ge=0, le=65535, description="The port to listen on; 0 takes a free one.")
    operator_project: str = Field(
        "default",
        description="The project whose admin keys see and change this gateway's settings; empty: nobody's.",
    )
    wait_timeout_s: Live[float] = Field(
        10.0,
        gt=0,
        le=300,
        description="How long a call waits for its request to be done before it answers PENDING, in seconds.",
    )
    publish_timeout_s: Live[float] = Field(
        5.0, gt=0, le=300, description="How long Kafka may take to acknowledge a request, in seconds."
    )
    embed_threads: int = Field(1, ge=1, le=64, description="Queries that are embedded at the same time at most.")
    probe_interval_s: Live[float] = Field(
        1.0, gt=0, le=60, description="Seconds between two looks at the health of each component."
    )
    probe_timeout_s: Live[float] = Field(
        2.0, gt=0, le=60, description="A component that takes longer to answer, in seconds, counts as down."
    )
    retry_after_s: Live[int] = Field(
        2, ge=1, le=3600, description="What Retry-After says while a component is down, in seconds."
    )
    shutdown_timeout_s: float = Field(
        10.0, gt=0, le=300, description="How long running calls may take to end at a stop, in seconds."
    )
