"""How the gateway is."""

from __future__ import annotations

from typing import Literal

from typing_extensions import TypedDict


class Ping(TypedDict):
    """The credential is good."""

    status: Literal["ok"]
    org_id: str
    project_id: str


class Component(TypedDict):
    """What the last look at a component found."""

    status: Literal["up", "down"]
    latency_ms: float | None


class Health(TypedDict):
    """How the gateway and its components are."""

    status: Literal["ok", "unavailable"]
    components: dict[str, Component]


class Alive(TypedDict):
    """The gateway answers."""

    status: Literal["ok"]
