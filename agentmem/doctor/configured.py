"""The settings: they are valid, or we would not be here; are they wise?"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from agentmem.doctor.findings import Finding, failed, ok, warning
from agentmem.exit_codes import ExitCode
from agentmem.settings import Settings
from agentmem.settings_errors import each_setting
from agentmem.settings_sources import Layer, SettingsError, configured_file, variable

#: Passwords that everybody tries first.
_GUESSED: Final = {"agentmem", "admin", "changeme", "default", "password", "postgres", "secret", "test"}
_OTHER_VARIABLES: Final = {"AGENTMEM_CONFIG", "AGENTMEM_HOME", "AGENTMEM_TEST_STACK"}
_LOCAL: Final = {"localhost", "127.0.0.1", "::1", None}


def invalid_settings(error: SettingsError) -> list[Finding]:
    """What to say of settings that are not valid: nothing else can be looked at with them."""
    remedy = "correct it where it was given; docs/settings.md describes each"
    return [failed(line, remedy, ExitCode.USAGE) for line in str(error).splitlines()]


async def settings_check(settings: Settings, given: Layer, config: Path | None) -> list[Finding]:
    """Variables that set nothing, secrets that are guessed or travel in the clear, files that others can read."""
    found = [*_unknown_variables(), *_secrets(settings), *_readable(given, config or configured_file())]
    return found or ok(f"{len(given)} given, all valid; agentmem config shows them")


def _unknown_variables() -> Iterator[Finding]:
    known = {variable(name) for name, _ in each_setting(Settings)} | _OTHER_VARIABLES
    for name in sorted(os.environ):
        if name.startswith("AGENTMEM_") and name not in known:
            close = get_close_matches(name, known, n=1)
            hint = f"did you mean {close[0]}? Else unset it" if close else "unset it"
            yield warning(f"the environment variable {name} sets nothing", hint)


def _secrets(settings: Settings) -> Iterator[Finding]:
    dsn = urlsplit(settings.postgres.dsn.get_secret_value())
    if dsn.password is not None and dsn.password.lower() in _GUESSED | {(dsn.username or "").lower()}:
        yield warning("the password in postgres.dsn is one that everybody guesses", "choose a random one")
    for name, secret in (
        ("weaviate.api_key", settings.weaviate.api_key),
        ("kafka.sasl_password", settings.kafka.sasl_password),
    ):
        if secret is not None and secret.get_secret_value().lower() in _GUESSED:
            yield warning(f"{name} is one that everybody guesses", "choose a random one")
    hosts = {server.rpartition(":")[0] for server in settings.kafka.bootstrap_servers.split(",")}
    if settings.kafka.with_sasl and not settings.kafka.with_tls and not hosts <= _LOCAL:
        yield warning("kafka.security_protocol sends the password in the clear", "use SASL_SSL")
    key, weaviate = settings.weaviate.api_key, urlsplit(settings.weaviate.url)
    if key is None and weaviate.hostname not in _LOCAL:
        yield warning(
            "there is no weaviate.api_key, so whoever reaches Weaviate reads every memory",
            "switch on API keys in Weaviate and set weaviate.api_key",
        )
    if key is not None and weaviate.scheme == "http" and weaviate.hostname not in _LOCAL:
        yield warning("weaviate.url sends the API key in the clear", "use https")
    gateway = urlsplit(settings.url)
    if settings.api_key is not None and gateway.scheme == "http" and gateway.hostname not in _LOCAL:
        yield warning("url sends the API key in the clear", "use https")


def _readable(given: Layer, config: Path | None) -> Iterator[Finding]:
    if config is None:
        return
    fields = dict(each_setting(Settings))
    secret = [name for name, one in given.items() if one.origin == str(config) and "Secret" in str(fields[name])]
    if secret and config.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH):
        names = ", ".join(".".join(name) for name in secret)
        yield warning(f"{config} holds {names} and others can read it", f"chmod 600 {config}")
