"""The part of the gateway's settings that is about event streams."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from schemas.live import Live
from streams.settings import MIB


class FeedSettings(BaseModel):
    """How many streams there may be, and how much waits for a slow reader. New values count for new streams."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    feeds_max: Live[int] = Field(1000, ge=1, description="Event streams at the same time at most.")
    feeds_project_share: Live[float] = Field(
        0.75,
        gt=0,
        le=1,
        description="The share of feeds_max, and of catch_ups_max, that one project may take (at least 1): "
        "1 where there is only one project.",
    )
    feed_queue: Live[int] = Field(
        1000, ge=2, description="Events that wait for a slow reader at most; then its stream is cut off."
    )
    feed_queue_bytes: Live[int] = Field(
        16 * MIB, ge=1, description="Bytes of events that wait for a slow reader at most; then it is cut off."
    )
    catch_ups_max: Live[int] = Field(
        16, ge=1, description="Event streams that read the past from Kafka at the same time at most."
    )
    catch_up_max_s: Live[float] = Field(
        600.0, gt=0, le=86_400, description="A stream that has not caught up after this many seconds is cut off."
    )
    feed_heartbeat_s: Live[float] = Field(
        15.0, gt=0, le=300, description="Seconds between two signs of life, with the cursor, on a quiet stream."
    )
    feed_send_timeout_s: Live[float] = Field(
        10.0, gt=0, le=300, description="A reader that takes nothing for this many seconds is cut off."
    )
