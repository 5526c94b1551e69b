"""Where a model's files come from: a directory, or the Hugging Face hub at a pinned commit."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

from infra.onnx.settings import EmbeddingSettings
from schemas.problems import MisconfiguredError

_GRAPH_NAMES: Final = ("onnx/model.onnx", "model.onnx")
_HUB_FILES: Final = ("*.json", *_GRAPH_NAMES, *(f"{name}_data" for name in _GRAPH_NAMES))
_COMMIT: Final = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True, slots=True)
class ModelSource:
    """A model's files on disk. ``name`` and ``revision`` are those of the hub, absent for a local directory."""

    directory: Path
    name: str | None = None
    revision: str | None = None

    @property
    def graph(self) -> Path:
        """The ONNX file. Raises :class:`MisconfiguredError` if there is none."""
        for name in _GRAPH_NAMES:
            if (path := self.directory / name).is_file():
                return path
        raise MisconfiguredError(
            f"{self.directory} has no {' or '.join(_GRAPH_NAMES)}: export the model to ONNX, "
            "or name a model that is published with it."
        )

    def json(self, name: str, default: Any = None) -> Any:
        """The content of a JSON file, ``default`` if there is no such file."""
        path = self.directory / name
        try:
            return json.loads(path.read_bytes())
        except FileNotFoundError:
            return default
        except (OSError, ValueError) as error:
            raise MisconfiguredError(f"cannot read {path}: {error}") from error

    def json_object(self, name: str) -> dict[str, Any]:
        """The JSON object in a file, empty if there is no such file."""
        content = self.json(name, {})
        if not isinstance(content, dict):
            raise MisconfiguredError(f"{self.directory / name} should hold a JSON object.")
        return content


def locate(settings: EmbeddingSettings) -> ModelSource:
    """The model that the settings name, downloaded if it is on the hub and not yet in the cache."""
    directory = Path(settings.model).expanduser()
    if directory.is_dir():
        return ModelSource(directory)
    if settings.model.startswith((".", "/", "~")):
        raise MisconfiguredError(f"embedding.model: there is no directory {settings.model}.")
    if settings.revision is None or not _COMMIT.fullmatch(settings.revision):
        raise MisconfiguredError(
            f"embedding.model: there is no directory {settings.model}, and as a model on the hub it needs "
            "embedding.revision: the full commit hash (40 hexadecimal digits), so that its vectors never change."
        )
    return ModelSource(_download(settings, settings.revision), settings.model, settings.revision)


def _download(settings: EmbeddingSettings, revision: str) -> Path:
    try:
        return Path(
            snapshot_download(
                settings.model,
                revision=revision,
                cache_dir=settings.cache_dir / "hub",
                allow_patterns=list(_HUB_FILES),
            )
        )
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, httpx.HTTPError, OSError) as error:
        raise MisconfiguredError(
            f"cannot get {settings.model} at {revision} from the hub: {error}. Check embedding.model, "
            "embedding.revision, the network and the disk, or name a directory that holds the model."
        ) from error
