"""What may be sent over the WebSocket of events."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from gateway.feeds.readers import NOW
from schemas.requests import EntityId

_Name = Annotated[str, Field(min_length=1, max_length=100)]


class _Message(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Subscribe(_Message):
    action: Literal["subscribe"]
    subscription: _Name = "default"
    user_id: EntityId | None = None
    agent_id: EntityId | None = None
    app_id: EntityId | None = None
    run_id: EntityId | None = None
    types: list[str] = Field([], max_length=20)
    start: str = Field(NOW, alias="from", min_length=1)


class Unsubscribe(_Message):
    action: Literal["unsubscribe"]
    subscription: _Name = "default"


class Ping(_Message):
    action: Literal["ping"]


MESSAGES: Final[TypeAdapter[Subscribe | Unsubscribe | Ping]] = TypeAdapter(
    Annotated[Subscribe | Unsubscribe | Ping, Field(discriminator="action")]
)
