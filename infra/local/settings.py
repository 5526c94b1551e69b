"""Settings of the stack that runs without Docker."""

from __future__ import annotations

import os
from pathlib import Path

from platformdirs import user_cache_dir
from pydantic import BaseModel, ConfigDict, Field, field_validator

Port = int | None


def _default_home() -> Path:
    return Path(os.environ.get("AGENTMEM_HOME") or user_cache_dir("agentmem"))


class LocalSettings(BaseModel):
    """Where the local stack keeps its things and which ports it takes; a port that is not set is chosen free."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    home: Path = Field(
        default_factory=_default_home,
        validate_default=True,
        description="Directory of downloads, builds and the data of the stacks; AGENTMEM_HOME sets it too.",
    )
    name: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$",
        description="Name of the stack; by default it follows from the project's folder.",
    )
    workers: int = Field(default=1, ge=1, le=64, description="How many worker processes to start.")
    kafka_port: Port = Field(default=None, ge=1, le=65535, description="Port of the Kafka broker.")
    postgres_port: Port = Field(default=None, ge=1, le=65535, description="Port of Postgres.")
    weaviate_port: Port = Field(default=None, ge=1, le=65535, description="HTTP port of Weaviate.")
    weaviate_grpc_port: Port = Field(default=None, ge=1, le=65535, description="gRPC port of Weaviate.")
    gateway_port: Port = Field(default=None, ge=1, le=65535, description="HTTP port of the gateway.")
    start_timeout_s: float = Field(
        default=120.0, gt=0, description="Seconds that one component may take until it answers."
    )

    @field_validator("home")
    @classmethod
    def _plain_absolute_path(cls, value: Path) -> Path:
        # It ends up in dev.env, which shells read without quotes, and in a Java class path.
        path = value.expanduser().absolute()
        if any(character.isspace() or character in "'\"$\\:#;&|<>()*?`" for character in str(path)):
            raise ValueError("AGENTMEM_HOME must be a path without spaces, quotes or shell characters")
        return path
