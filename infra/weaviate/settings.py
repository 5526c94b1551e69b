"""Settings of the Weaviate store."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, SecretStr


class WeaviateSettings(BaseModel):
    """How to reach Weaviate."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str = Field(
        "http://127.0.0.1:8080",
        pattern=r"^https?://[^/\s]+/?$",
        description="Weaviate's REST address, http://host:port or https://host:port.",
    )
    grpc: str = Field(
        "127.0.0.1:50051",
        pattern=r"^[^/\s]+:\d+$",
        description="Weaviate's gRPC address, host:port; with TLS when the URL has https.",
    )
    api_key: SecretStr | None = Field(None, description="Weaviate's API key; none for anonymous access.")
    collection: str = Field(
        "AgentMem",
        pattern=r"^[A-Z][_0-9A-Za-z]{0,229}$",
        description="The collection that holds the vectors; it starts with a capital letter.",
    )
    connect_timeout_s: float = Field(5, gt=0, le=60, description="How long connecting may take, in seconds.")
    query_timeout_s: float = Field(10, gt=0, le=600, description="How long one read may take, in seconds.")
    write_timeout_s: float = Field(
        60, gt=0, le=600, description="How long one write may take, in seconds, retries included."
    )
