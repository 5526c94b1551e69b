"""Settings of the Postgres store."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, SecretStr


class PostgresSettings(BaseModel):
    """How to reach Postgres."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    dsn: SecretStr = Field(
        SecretStr("postgresql://127.0.0.1:5432/agentmem"),
        description="The database as a URL: postgresql://user:password@host:port/name.",
    )
    pool_size: int = Field(8, ge=2, le=200, description="Connections that a process holds at most.")
    connect_timeout_s: int = Field(5, ge=1, le=60, description="How long connecting may take, in seconds.")
    statement_timeout_s: int = Field(30, ge=1, le=600, description="How long one statement may take, in seconds.")
    idle_in_transaction_timeout_s: int = Field(
        30,
        ge=1,
        le=600,
        description="How long a process may stand still within a transaction, which may lock rows, in seconds.",
    )
    gateway_role: str = Field(
        "agentmem_gateway",
        pattern=r"^[a-z_][a-z0-9_]{0,62}$",
        description="The Postgres role as which the gateway works; agentmem migrate makes it.",
    )
