"""docs/reliability.md names every case of the fault matrix, and no other."""

from __future__ import annotations

import re
from pathlib import Path

from tests.harness.matrix_page import table

_MARK = re.compile(r'pytest\.mark\.case\("([^"]+)"')


def test_every_case_has_its_promise(repository: Path) -> None:
    sources = (path.read_text() for path in (repository / "tests" / "chaos").glob("test_*.py"))
    cases = {name for source in sources for name in _MARK.findall(source)}
    page = (repository / "docs" / "reliability.md").read_text()
    promises = page.partition("## What is promised")[2].partition("\n###")[0]
    named = {name for row in promises.splitlines() for name in re.findall(r"`([^`]+)`", row.rpartition(" | ")[2])}
    assert named == cases


def test_the_table_shows_what_was_measured() -> None:
    poison = {"case": "poison-1", "requests": 5000, "lost": 0, "recovery_s": 1.25, "seed": 7, "result": "passed"}
    killed = {"case": "weaviate-killed", "stale": 0, "stale_at_first": 3, "mended_s": 12.34, "result": "failed"}
    cases = {"poison-1": poison | {"seconds": 20}, "weaviate-killed": killed | {"seconds": 340}}
    written = table({"command": "make chaos", "cores": 2, "run_s": 300.0, "cases": cases})
    assert "`make chaos` on 2 cores" in written
    assert "| poison-1 | 5000 | 0 |  |  |  |  | 1.2 | 20 | 7 | passed |" in written
    assert written.endswith(
        "\n\n- weaviate-killed: stale at first 3, seconds until it was mended 12.3\n"
        "\n2 cases, 1 of them passed, 360 s in all; the whole run took 300 s.\n"
    )
