"""Settings of the gateway."""

from __future__ import annotations

from pydantic import ConfigDict, Field

from gateway.settings_auth import AuthSettings
from gateway.settings_limits import LimitSettings
from streams.settings import MIB


class GatewaySettings(LimitSettings, AuthSettings):
    """Where the gateway listens, how long it waits, and what it allows."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str = Field("127.0.0.1", min_length=1, description="The address to listen on.")
    port: int = Field(8765, ge=0, le=65535, description="The port to listen on; 0 takes a free one.")
    wait_timeout_s: float = Field(
        10.0,
        gt=0,
        le=300,
        description="How long a call waits for its request to be done before it answers PENDING, in seconds.",
    )
    publish_timeout_s: float = Field(
        5.0, gt=0, le=300, description="How long Kafka may take to acknowledge a request, in seconds."
    )
    embed_threads: int = Field(1, ge=1, le=64, description="Queries that are embedded at the same time at most.")
    probe_interval_s: float = Field(
        1.0, gt=0, le=60, description="Seconds between two looks at the health of each component."
    )
    probe_timeout_s: float = Field(
        2.0, gt=0, le=60, description="A component that takes longer to answer, in seconds, counts as down."
    )
    retry_after_s: int = Field(
        2, ge=1, le=3600, description="What Retry-After says while a component is down, in seconds."
    )
    feeds_max: int = Field(1000, ge=1, description="Event streams at the same time at most.")
    feed_queue: int = Field(
        1000, ge=2, description="Events that wait for a slow reader at most; then its stream is cut off."
    )
    feed_queue_bytes: int = Field(
        16 * MIB, ge=1, description="Bytes of events that wait for a slow reader at most; then it is cut off."
    )
    catch_ups_max: int = Field(
        16, ge=1, description="Event streams that read the past from Kafka at the same time at most."
    )
    catch_up_max_s: float = Field(
        600.0, gt=0, le=86_400, description="A stream that has not caught up after this many seconds is cut off."
    )
    feed_heartbeat_s: float = Field(
        15.0, gt=0, le=300, description="Seconds between two signs of life, with the cursor, on a quiet stream."
    )
    feed_send_timeout_s: float = Field(
        10.0, gt=0, le=300, description="A reader that takes nothing for this many seconds is cut off."
    )
    shutdown_timeout_s: float = Field(
        10.0, gt=0, le=300, description="How long running calls may take to end at a stop, in seconds."
    )
