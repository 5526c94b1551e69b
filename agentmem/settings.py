"""All settings: each package's own model is one section here, filled from flags, environment and a file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from agentmem import settings_sources as sources
from agentmem.settings_errors import explained
from agentmem.settings_sources import SettingsError
from agents.settings import WorkerSettings
from gateway.settings import GatewaySettings
from infra.local.settings import LocalSettings
from infra.onnx.settings import EmbeddingSettings
from infra.postgres.settings import PostgresSettings
from infra.telemetry.tracing import TelemetrySettings
from infra.weaviate.settings import WeaviateSettings
from infra.webhooks.settings import WebhookSettings
from schemas.live import Live
from streams.settings import KafkaSettings, WindowSettings

__all__ = [
    "LogSettings",
    "Settings",
    "SettingsError",
    "load_settings",
    "load_with_sources",
    "parsed",
    "read_layers",
]


class LogSettings(BaseModel):
    """What the long-running commands log, and where to."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    level: Live[Literal["debug", "info", "warning", "error"]] = Field("info", description="The least level shown.")
    format: Literal["auto", "text", "json"] = Field(
        "auto",
        description="text, or json with one object a line; auto is text on a terminal and json elsewhere.",
    )
    file: Path | None = Field(
        None,
        description="Log into this file instead of to stderr; each process needs a file of its own.",
    )
    max_mib: int = Field(
        64, ge=1, le=65_536, description="At this size, in MiB, the log file is set aside and a new one begun."
    )
    backups: int = Field(5, ge=1, le=1000, description="Log files set aside that are kept; older ones go.")


class Settings(BaseSettings):
    """Everything that can be set. Made by :func:`load_settings`, which knows where each value came from."""

    model_config = SettingsConfigDict(
        frozen=True,
        extra="forbid",
        env_prefix="AGENTMEM_",
        env_nested_delimiter="_",
        env_nested_max_split=1,
        env_ignore_empty=True,
    )

    url: str = Field(
        "http://127.0.0.1:8765",
        pattern=r"^https?://\S+$",
        description="The gateway that search, tail and history speak to.",
    )
    api_key: SecretStr | None = Field(None, description="The API key for the gateway.")
    kafka: KafkaSettings = Field(default_factory=KafkaSettings, description="Kafka and its topics.")
    window: WindowSettings = Field(default_factory=WindowSettings, description="When a batch closes.")
    postgres: PostgresSettings = Field(default_factory=PostgresSettings, description="The database.")
    weaviate: WeaviateSettings = Field(default_factory=WeaviateSettings, description="The search index.")
    embedding: EmbeddingSettings = Field(default_factory=EmbeddingSettings, description="The model.")
    worker: WorkerSettings = Field(default_factory=WorkerSettings, description="The worker itself.")
    gateway: GatewaySettings = Field(default_factory=GatewaySettings, description="The HTTP service.")
    webhooks: WebhookSettings = Field(default_factory=WebhookSettings, description="Posting events to webhooks.")
    local: LocalSettings = Field(default_factory=LocalSettings, description="The stack without Docker.")
    telemetry: TelemetrySettings = Field(default_factory=TelemetrySettings, description="Traces.")
    log: LogSettings = Field(default_factory=LogSettings, description="Logging.")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 (the library names it)
        init_settings: PydanticBaseSettingsSource,
        *_: Any,
        **__: Any,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        # load_settings merges the sources itself: an error has to name the one that a value came from.
        return (init_settings,)


def load_settings(
    config: Path | None = None,
    overrides: Mapping[str, str] | None = None,
    *,
    fallback: Path | None = None,
) -> Settings:
    """The settings from, first wins: ``overrides``, the environment, the file, the fallback, the defaults.

    ``overrides`` go by dotted name. ``config`` is a TOML or YAML file, by default the one that
    ``AGENTMEM_CONFIG`` names. ``fallback`` is a file of environment variables; it may be missing.
    Raises ``SettingsError``, which names each bad setting, the problem and the source of the value.
    """
    settings, _ = load_with_sources(config, overrides, fallback=fallback)
    return settings


def load_with_sources(
    config: Path | None = None,
    overrides: Mapping[str, str] | None = None,
    *,
    fallback: Path | None = None,
) -> tuple[Settings, sources.Layer]:
    """As :func:`load_settings`, with what was given and where; a setting that is not among it has its default."""
    values = read_layers(config, overrides, fallback=fallback)
    return parsed(values), values


def read_layers(
    config: Path | None, overrides: Mapping[str, str] | None = None, *, fallback: Path | None = None
) -> sources.Layer:
    """What is set and where, by :func:`load_settings`'s sources; nothing is checked yet."""
    config = config or sources.configured_file()
    layers = [
        sources.fallback(Settings, fallback),
        sources.file(Settings, config),
        sources.environment(Settings),
        sources.flags(overrides or {}),
    ]
    return {path: given for layer in layers for path, given in layer.items()}


def parsed(values: sources.Layer) -> Settings:
    """The settings with these values. Raises ``SettingsError``."""
    try:
        return Settings.model_validate(sources.nested(values))
    except ValidationError as error:
        raise explained(error, values, Settings) from None
