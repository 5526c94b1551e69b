"""Where settings come from."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    EnvSettingsSource,
    TomlConfigSettingsSource,
    YamlConfigSettingsSource,
)
from pydantic_settings import SettingsError as UnreadableVariableError

#: A setting by its names: ``("url",)`` or ``("kafka", "partitions")``.
Name = tuple[str, ...]


class SettingsError(Exception):
    """A setting is wrong; one line for each, with its name, the problem and where the value came from."""


class Given(NamedTuple):
    """A value as it was given, and the words for where."""

    value: Any
    origin: str


Layer = dict[Name, Given]


def configured_file() -> Path | None:
    """The settings file that the environment names."""
    named = os.environ.get("AGENTMEM_CONFIG")
    return Path(named) if named else None


def flags(overrides: Mapping[str, str]) -> Layer:
    """Values from the command line, by dotted name."""
    return {tuple(name.split(".", 1)): Given(value, "the command line") for name, value in overrides.items()}


def environment(model: type[BaseSettings]) -> Layer:
    """Values from ``AGENTMEM_…``; variables that belong to no section are other tools' and stay alone."""
    try:
        document = EnvSettingsSource(model)()
    except UnreadableVariableError as error:
        raise SettingsError(f"{error}: {error.__cause__}") from error
    layer = {path: Given(value, f"environment variable {variable(path)}") for path, value in _leaves(document)}
    if home := os.environ.get("AGENTMEM_HOME"):
        layer.setdefault(("local", "home"), Given(home, "environment variable AGENTMEM_HOME"))
    return layer


def fallback(model: type[BaseSettings], path: Path | None) -> Layer:
    """Values from a file of variables that a running stack wrote; what is no setting is passed over."""
    if path is None or not path.is_file():
        return {}
    document = DotEnvSettingsSource(model, env_file=path)()
    return {
        leaf: Given(value, f"{variable(leaf)} in {path}")
        for leaf, value in _leaves(document)
        if leaf[0] in model.model_fields
    }


def file(model: type[BaseSettings], path: Path | None) -> Layer:
    """Values from a TOML or YAML file, told apart by its ending."""
    if path is None:
        return {}
    try:
        # The library passes over a file that is missing; here it was asked for.
        path.open("rb").close()
        if path.suffix == ".toml":
            document = TomlConfigSettingsSource(model, toml_file=path)()
        elif path.suffix in (".yaml", ".yml"):
            document = YamlConfigSettingsSource(model, yaml_file=path)()
        else:
            raise SettingsError(f"settings file {path}: its name must end in .toml, .yaml or .yml")
    except OSError as error:
        raise SettingsError(f"settings file {path}: {error.strerror}") from error
    except SettingsError:
        raise
    except Exception as error:  # each parser has errors of its own, and the settings library adds more
        raise SettingsError(f"settings file {path}: {' '.join(str(error).split())}") from error
    return {leaf: Given(value, str(path)) for leaf, value in _leaves(document)}


def nested(values: Layer) -> dict[str, Any]:
    """The values as the document that the model reads."""
    document: dict[str, Any] = {}
    for path, (value, _) in values.items():
        section = document if len(path) == 1 else document.setdefault(path[0], {})
        # One source may give a section itself a value: that stays, for the model to refuse.
        if isinstance(section, dict):
            section[path[-1]] = value
    return document


def variable(path: Name) -> str:
    """The environment variable of a setting."""
    return "_".join(("AGENTMEM", *path)).upper()


def _leaves(document: Mapping[str, Any]) -> Iterator[tuple[Name, Any]]:
    for name, value in document.items():
        if isinstance(value, Mapping):
            yield from (((name, field), inner) for field, inner in value.items())
        else:
            yield (name,), value
