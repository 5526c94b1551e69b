"""The files of the pages: ours, and those that come in packages. Nothing is fetched from anywhere else."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import distribution
from pathlib import Path
from types import MappingProxyType
from typing import Final

PAGES: Final = Path(__file__).parent / "pages"

_CSS: Final = "text/css"
_SCRIPT: Final = "text/javascript"
MEDIA_TYPES: Final = (_CSS, _SCRIPT)


def _packaged(package: str, file: str) -> Path:
    # Not by an import: offapi reads all that it has when it is imported.
    return Path(str(distribution(package).locate_file(file)))


#: Every file by the name it is served under, with its media type.
ASSETS: Final[Mapping[str, tuple[Path, str]]] = MappingProxyType(
    {
        "swagger-ui.css": (_packaged("offapi", "offapi/swagger_style.css"), _CSS),
        "swagger-ui.js": (_packaged("offapi", "offapi/swagger_bundle.js"), _SCRIPT),
        "http.js": (PAGES / "http.js", _SCRIPT),
        "asyncapi-viewer.js": (
            _packaged("asyncapi-viewer", "asyncapi_viewer/static/asyncapi-viewer.iife.js"),
            _SCRIPT,
        ),
    }
)
