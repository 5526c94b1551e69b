"""Settings of webhooks."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from schemas.live import Live


class WebhookSettings(BaseModel):
    """Where webhooks may go, how often they are tried, and when that ends."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    enabled: bool = Field(True, description="Whether this worker delivers to webhooks.")
    allow_private: bool = Field(
        False,
        description="Whether webhooks may go to private, loopback and link-local addresses, and without TLS.",
    )
    timeout_s: float = Field(10.0, gt=0, le=60, description="How long a receiver may take to answer, in seconds.")
    parallel: Live[int] = Field(
        32,
        ge=1,
        le=1000,
        description="Deliveries of up to 128 KiB that a worker has under way at most; larger ones: 2.",
    )
    parallel_each: Live[int] = Field(
        4, ge=1, le=100, description="Those of them that go to one webhook at most; larger ones: 1."
    )
    retry_first_s: Live[float] = Field(
        5.0, gt=0, le=3600, description="Seconds until the second attempt; then twice as long each time."
    )
    retry_longest_s: Live[float] = Field(
        3600.0, gt=0, le=86_400, description="Seconds between two attempts of a delivery at most."
    )
    give_up_h: Live[float] = Field(
        24.0, gt=0, le=24 * 30, description="A delivery that is so many hours old is not tried any more."
    )
    disable_h: Live[float] = Field(
        72.0, gt=0, le=24 * 90, description="A webhook that fails for so many hours is made inactive."
    )
    log_days: Live[float] = Field(7.0, gt=0, le=365, description="How many days the delivery log goes back.")
