"""The headers of our Kafka records, as models from which the published documents are made."""

from __future__ import annotations

from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from schemas.events import CONTENT_TYPE, SOURCE, EventType
from schemas.problems import DeadLetterReason


class EventHeaders(BaseModel):
    """The headers of an event: CloudEvents 1.0 in binary mode. Each value is UTF-8 text."""

    model_config = ConfigDict(extra="ignore")

    ce_specversion: Literal["1.0"] = Field(description="The version of CloudEvents.")
    ce_id: str = Field(description="The event's id, a UUID; the same each time the event is repeated.")
    ce_type: EventType = Field(description="What happened.")
    ce_source: str = Field(description="Who says so.", examples=[SOURCE])
    ce_subject: str | None = Field(
        None, description="The memory's id, a UUID. Absent where there is no one memory."
    )
    ce_time: AwareDatetime = Field(description="When it was recorded.")
    content_type: str = Field(
        alias="content-type", description="How the value is written.", examples=[CONTENT_TYPE]
    )
    traceparent: str | None = Field(None, description="The W3C trace context, where the request carried one.")


class DeadLetterHeaders(BaseModel):
    """The headers that a dead letter has after its own: those of Kafka Connect. Each value is UTF-8 text."""

    model_config = ConfigDict(extra="ignore")

    topic: str = Field(alias="__connect.errors.topic", description="The topic it was read from.")
    partition: int = Field(alias="__connect.errors.partition", ge=0, description="Its partition there.")
    offset: int = Field(alias="__connect.errors.offset", ge=0, description="Its offset there.")
    stage: str = Field(alias="__connect.errors.stage", description="The stage that set it aside.")
    reason: DeadLetterReason = Field(
        alias="__connect.errors.exception.class.name", description="The reason, one of a fixed list."
    )
    detail: str = Field(
        alias="__connect.errors.exception.message", description="What is wrong with this record, for a person."
    )
