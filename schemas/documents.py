"""The published documents: JSON Schema 2020-12 of request and event, and AsyncAPI 3.0 of the topics.

They are made from the models. ``python -m schemas.documents`` writes them, with ``--check`` it only says
whether those in ``schemas/generated`` are up to date.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema

from schemas.asyncapi import asyncapi_document
from schemas.events import EventBody
from schemas.requests import SCHEMA_VERSION, MemoryRequest

GENERATED: Final = Path(__file__).parent / "generated"


def documents() -> dict[str, dict[str, Any]]:
    """Every document by its file name."""
    return {
        "memory-request.schema.json": _json_schema(MemoryRequest, "memory-request", "validation"),
        "memory-event.schema.json": _json_schema(EventBody, "memory-event", "serialization"),
        "asyncapi.json": asyncapi_document(),
    }


def _json_schema(
    model: type[BaseModel], name: str, mode: Literal["validation", "serialization"]
) -> dict[str, Any]:
    return {
        "$schema": GenerateJsonSchema.schema_dialect,
        "$id": f"urn:agentmem:{name}:{SCHEMA_VERSION}",
        **model.model_json_schema(mode=mode),
    }


def stale(directory: Path = GENERATED) -> list[Path]:
    """The files that are missing, differ from what the models say, or belong to no model."""
    wanted = {directory / name: _text(document) for name, document in documents().items()}
    present = set(directory.glob("*.json"))
    return sorted(
        {path for path in wanted if path not in present or path.read_text() != wanted[path]}
        | (present - wanted.keys())
    )


def write(directory: Path = GENERATED) -> None:
    """Write all documents, and remove what belongs to no model any more."""
    directory.mkdir(exist_ok=True)
    for path in stale(directory):
        path.unlink(missing_ok=True)
    for name, document in documents().items():
        (directory / name).write_text(_text(document))


def _text(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def main() -> int:
    """The command. Exit code 1: with ``--check``, a document is stale."""
    parser = argparse.ArgumentParser(
        prog="python -m schemas.documents", description="Writes the schema documents."
    )
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if a document is stale")
    if not parser.parse_args().check:
        write()
        return 0
    if old := stale():
        names = ", ".join(path.name for path in old)
        sys.stderr.write(f"stale: {names}. Run python -m schemas.documents and commit the result.\n")
    return 1 if old else 0


if __name__ == "__main__":
    sys.exit(main())
