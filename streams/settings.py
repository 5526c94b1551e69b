"""Settings of everything that touches Kafka."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from schemas.live import Live

KIB: Final = 1024
MIB: Final = 1024 * KIB

#: The largest record that the request topic takes, in bytes.
REQUEST_TOPIC_MAX_BYTES: Final = 4 * MIB
#: The largest record of the dead-letter topic and of our clients: a request of the largest size must fit with
#: the headers that say why it was set aside.
CLIENT_MAX_BYTES: Final = 5 * MIB
#: Our own limit at most: an event may hold the new text, the text before and metadata of an earlier request.
REQUEST_MAX_BYTES: Final = 3 * MIB // 2


class KafkaSettings(BaseModel):
    """How to reach Kafka, and what the topics are called."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    bootstrap_servers: str = Field(
        "127.0.0.1:9092", min_length=1, description="Kafka brokers to begin with: host:port, comma-separated."
    )
    topic_prefix: str = Field(
        "",
        pattern=r"^[A-Za-z0-9._-]{0,100}$",
        description="Put before the name of every topic, so that systems can share a cluster.",
    )
    group: str = Field("agentmem-workers", min_length=1, description="The consumer group of the workers.")
    partitions: int = Field(6, ge=1, le=1000, description="Partitions of a topic when it is created.")
    replication_factor: int = Field(1, ge=1, le=9, description="Copies of each partition when a topic is created.")
    retention_hours: int = Field(168, ge=1, description="How long topics keep records, in hours, when created.")
    request_max_bytes: int = Field(
        MIB,
        ge=KIB,
        le=REQUEST_MAX_BYTES,
        description="A larger request value, in bytes, is dead-lettered.",
    )
    session_timeout_s: float = Field(
        10.0, ge=6, le=300, description="A worker not heard of for this many seconds loses its partitions."
    )
    request_timeout_s: float = Field(
        20.0, ge=1, le=300, description="How long one call to a broker may take, in seconds."
    )
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT", description="Whether connections have TLS (SSL) and a user (SASL)."
    )
    ssl_ca_file: Path | None = Field(
        None, description="PEM file of the authorities that brokers are checked by; by default the system's."
    )
    ssl_cert_file: Path | None = Field(
        None, description="PEM file of our own certificate, if brokers ask for one."
    )
    ssl_key_file: Path | None = Field(None, description="PEM file of its key, unless that is in the same file.")
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        "SCRAM-SHA-512", description="How the user is proven."
    )
    sasl_username: str | None = Field(None, min_length=1, description="The user, for SASL.")
    sasl_password: SecretStr | None = Field(None, description="The user's password, for SASL.")

    @property
    def webhook_group(self) -> str:
        """The consumer group that takes events in for webhooks."""
        return f"{self.group}-webhooks"

    @property
    def with_tls(self) -> bool:
        """Whether connections are encrypted."""
        return self.security_protocol in ("SSL", "SASL_SSL")

    @property
    def with_sasl(self) -> bool:
        """Whether connections have a user."""
        return self.security_protocol in ("SASL_PLAINTEXT", "SASL_SSL")

    @model_validator(mode="after")
    def _check_security(self) -> Self:
        named = self.sasl_username is not None and self.sasl_password is not None
        if self.with_sasl and not named:
            raise ValueError(f"{self.security_protocol} needs kafka.sasl_username and kafka.sasl_password")
        if not self.with_sasl and (self.sasl_username is not None or self.sasl_password is not None):
            raise ValueError("a user needs kafka.security_protocol SASL_SSL or SASL_PLAINTEXT")
        files = (self.ssl_ca_file, self.ssl_cert_file, self.ssl_key_file)
        if not self.with_tls and any(file is not None for file in files):
            raise ValueError("TLS files need kafka.security_protocol SSL or SASL_SSL")
        return self


class WindowSettings(BaseModel):
    """When a batch closes: at the first of these."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_records: Live[int] = Field(256, ge=1, le=10_000, description="Records in a batch at most.")
    max_bytes: Live[int] = Field(
        4 * MIB,
        ge=KIB,
        description="Bytes of records in a batch at most; each JSON object or array counts 256 more.",
    )
    max_wait_ms: Live[float] = Field(
        10.0,
        ge=0,
        le=60_000,
        description="How long a batch waits for more after its first record, in ms, while others are in hand.",
    )
