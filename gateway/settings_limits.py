"""The part of the gateway's settings that says how much of everything it takes."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from gateway.http.addresses import networks
from schemas.live import Live
from streams.settings import MIB


class LimitSettings(BaseModel):
    """Calls, bodies, connections and waits."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rate_key: Live[int] = Field(
        5_000, ge=0, description="Calls that one API key may make in gateway.rate_window_s; 0 for any number."
    )
    rate_project: Live[int] = Field(
        10_000, ge=0, description="Calls that all keys of one project together may make; 0 for any number."
    )
    rate_address: Live[int] = Field(
        100,
        ge=0,
        description="Calls without a good credential that one client address may make; 0 for any number.",
    )
    rate_window_s: Live[int] = Field(
        10, ge=1, le=86_400, description="The time that calls are counted in, in seconds."
    )
    trusted_proxies: Live[str] = Field(
        "",
        description="Proxies that say in X-Forwarded-For who calls: addresses or networks, comma-separated.",
    )
    redis_url: SecretStr | None = Field(
        None,
        description="Redis in which all gateways count together (redis:// or rediss://); else each counts alone.",
    )
    body_max_bytes: int = Field(MIB, ge=1024, description="A larger request body, in bytes, is refused.")
    bodies_max_bytes: int = Field(
        64 * MIB, ge=1024, description="Bytes of the bodies of all calls under way at most; more are refused."
    )
    body_timeout_s: Live[float] = Field(
        30.0, gt=0, le=600, description="How long a request body may take to arrive, in seconds."
    )
    header_timeout_s: Live[float] = Field(
        15.0, gt=0, le=600, description="How long the header of a request may take to arrive, in seconds."
    )
    idle_timeout_s: float = Field(
        75.0, gt=0, le=3600, description="A connection without a request is closed after this many seconds."
    )
    call_timeout_s: Live[float] = Field(
        330.0, gt=0, le=3600, description="How long a call may take in all, in seconds; event streams may go on."
    )
    connections_max: int = Field(4_000, ge=10, description="Connections at the same time at most.")
    header_max_bytes: int = Field(8_190, ge=1024, le=65_536, description="The longest line of a request's header.")
    cors_origins: Live[str] = Field(
        "", description="Web sites whose scripts may call: origins, comma-separated; * for any; empty for none."
    )

    @field_validator("trusted_proxies")
    @classmethod
    def _are_networks(cls, value: str) -> str:
        networks(value)
        return value
