"""Writes what ``make chaos`` measured into docs/reliability.md: ``python -m tests.harness.matrix_page``."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Final

from tests.harness.matrix import COLUMNS, RESULTS, asides, cell, total

PAGE: Final = Path("docs/reliability.md")
_TABLE: Final = re.compile(r"(<!-- measured -->\n).*?(<!-- end of measured -->)", re.DOTALL)


def table(document: dict[str, Any]) -> str:
    """The results as a Markdown table, and what is said under it."""
    lines = [
        f"Measured by `{document['command']}` on {document['cores']} cores:",
        "",
        f"| {' | '.join(COLUMNS.values())} |",
        f"|{'---|' * len(COLUMNS)}",
    ]
    for line in document["cases"].values():
        lines.append(f"| {' | '.join(cell(line.get(name)) for name in COLUMNS)} |")
    if said := asides(document["cases"]):
        lines += ["", *(f"- {line}" for line in said)]
    lines += ["", total(document["cases"], document.get("run_s"))]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    written = table(json.loads(RESULTS.read_text()))
    PAGE.write_text(_TABLE.sub(lambda match: match[1] + written + match[2], PAGE.read_text()))
