"""A pytest plugin for the fault matrix: which cases run and how large, and a table of what they showed.

A case is a test that is marked ``case("name")``; parameters may stand in the name, as ``case("{store}-killed")``.
Without ``--matrix`` cases run at a small scale, and those marked ``case("name", full=True)`` do not run; ``full``
may also list those of a test's cases that do not.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from tests.harness.workload import SEED_VARIABLE

RESULTS: Final = Path(".agentmem/chaos.json")
#: What a case says of itself, and the heading of its column.
COLUMNS: Final = {
    "case": "case",
    "requests": "requests",
    "lost": "lost",
    "duplicated": "duplicated",
    "stale": "stale",
    "dead_lettered": "dead-lettered",
    "seen_again": "seen again",
    "recovery_s": "recovery s",
    "seconds": "took s",
    "seed": "seed",
    "result": "result",
}
#: What some cases say beside, for a line of its own under the table.
_ASIDES: Final = {
    "stale_at_first": "stale at first",
    "mended_s": "seconds until it was mended",
    "held_s": "seconds held up",
    "ended": "the store ended",
    "guests": "workers that came and went",
    "storm_s": "seconds of the storm",
    "trickle_waited_s": "seconds that the trickle waited",
    "all_done_s": "seconds until all was done",
    "worker_peak_mb": "MB that the worker took at most",
    "worker_grew_mib": "MiB that the worker grew by",
    "gateway_grew_mib": "MiB that the gateway grew by",
}
#: The case that takes longest.
_LONGEST: Final = "soak"
_began: Final = time.monotonic()
_lines: dict[str, dict[str, Any]] = {}


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("fault matrix")
    group.addoption("--matrix", action="store_true", help="run every case of the fault matrix at full scale")
    group.addoption("--only", action="append", metavar="CASE", help="run this case alone; may be repeated")
    group.addoption("--seed", type=int, help=f"the seed of what is random, as {SEED_VARIABLE}")
    group.addoption("--soak-minutes", type=float, default=20.0, help="how long the case soak takes")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "case(name, full=()): a case of the fault matrix")
    if config.getoption("--seed") is not None:
        os.environ[SEED_VARIABLE] = str(config.getoption("--seed"))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    matrix, only = config.getoption("--matrix"), set(config.getoption("--only") or ())
    names: set[str] = set()
    kept: list[pytest.Item] = []
    left: list[pytest.Item] = []
    for item in items:
        mark = item.get_closest_marker("case")
        if mark is None:
            (left if only else kept).append(item)
            continue
        name = case_name(item)
        names.add(name)
        item.user_properties.append(("case", name))
        full = mark.kwargs.get("full", ())
        runs = name in only if only else matrix or not (full is True or name in full)
        (kept if runs else left).append(item)
    if unknown := only - names:
        raise pytest.UsageError(f"no such case: {', '.join(unknown)}; there are {', '.join(sorted(names))}")
    config.hook.pytest_deselected(items=left)
    # Begun late, the longest would end alone, with the other process idle.
    items[:] = sorted(kept, key=lambda item: ("case", _LONGEST) not in item.user_properties)


def case_name(item: pytest.Item) -> str:
    """The name of a case, with its parameters."""
    mark = item.get_closest_marker("case")
    assert mark is not None
    parameters = getattr(item, "callspec", None)
    return str(mark.args[0]).format(**(parameters.params if parameters else {}))


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    # With several processes this runs in the one that collects the reports.
    properties: dict[str, Any] = dict(report.user_properties)
    if "case" not in properties or (report.when != "call" and report.passed):
        return
    line = {"case": properties["case"], **properties.get("counts", {}), "result": report.outcome}
    line["seconds"] = round(report.duration)
    if report.skipped and isinstance(report.longrepr, tuple):
        line["result"] = report.longrepr[2].removeprefix("Skipped: ")
    _lines[line["case"]] = _lines.get(line["case"], {}) | line


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if not _lines:
        return
    rows = [tuple(COLUMNS.values())]
    rows += [tuple(cell(line.get(name)) for name in COLUMNS) for _, line in sorted(_lines.items())]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    terminalreporter.section("fault matrix")
    for row in rows:
        cells = (
            cell.rjust(w) if n else cell.ljust(w) for n, (cell, w) in enumerate(zip(row, widths, strict=True))
        )
        terminalreporter.write_line("  ".join(cells).rstrip())
    for line in asides(_lines):
        terminalreporter.write_line(line)
    terminalreporter.write_line(total(_lines, time.monotonic() - _began))
    terminalreporter.write_line("One again: make chaos CASE=case ARGS='--seed seed'")
    if config.getoption("--matrix"):
        _write(keep=bool(config.getoption("--only")))


def cell(value: object) -> str:
    """A value as the table shows it."""
    if value is None:
        return ""
    return f"{value:.1f}" if isinstance(value, float) else str(value)


def asides(cases: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """What cases say that has no column."""
    told = {
        name: [f"{words} {cell(line[one])}" for one, words in _ASIDES.items() if one in line]
        for name, line in sorted(cases.items())
    }
    return [f"{name}: {', '.join(words)}" for name, words in told.items() if words]


def total(cases: Mapping[str, Mapping[str, Any]], run_s: float | None) -> str:
    """How many cases there are, and how long they and the run of all took; some run side by side."""
    passed = sum(line.get("result") == "passed" for line in cases.values())
    took = sum(line.get("seconds", 0) for line in cases.values())
    run = "" if run_s is None else f"; the whole run took {run_s:.0f} s"
    return f"{len(cases)} cases, {passed} of them passed, {took} s in all{run}."


def _write(*, keep: bool) -> None:
    """Write the results as JSON; when only some were run, those of other cases stay, and how long all took."""
    before = json.loads(RESULTS.read_text()) if keep and RESULTS.exists() else {"cases": {}}
    RESULTS.parent.mkdir(mode=0o700, exist_ok=True)
    document = {
        "command": "make chaos",
        "cores": os.cpu_count(),
        "run_s": before.get("run_s") if keep else time.monotonic() - _began,
        "cases": dict(sorted((before["cases"] | _lines).items())),
    }
    RESULTS.write_text(json.dumps(document, indent=2) + "\n")
