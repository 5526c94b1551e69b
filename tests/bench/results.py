"""Where results are kept: one JSON file, each benchmark with sections of its own."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

RESULTS: Final = Path(".agentmem/bench.json")


def read_results() -> dict[str, Any]:
    """The latest result of every benchmark that was run here."""
    return dict(json.loads(RESULTS.read_text())) if RESULTS.exists() else {}


def write_results(sections: Mapping[str, Any]) -> None:
    """Put these sections into the file; those of other benchmarks stay."""
    kept = read_results()
    RESULTS.parent.mkdir(mode=0o700, exist_ok=True)
    RESULTS.write_text(json.dumps({**kept, **sections}, indent=2) + "\n")
