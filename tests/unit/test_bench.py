"""The benchmarks' own parts: the results file, and what a missing input is answered with."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.bench.__main__ import main as bench
from tests.bench.percentiles import percentiles
from tests.bench.recall.__main__ import main as recall
from tests.bench.results import RESULTS, read_results, write_results


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_each_benchmark_keeps_the_results_of_the_others() -> None:
    assert read_results() == {}
    write_results({"int8": {"ratio": 0.8}, "plane_per_s": 1.0})
    write_results({"plane_per_s": 2.0, "recall": {}})
    assert read_results() == {"int8": {"ratio": 0.8}, "plane_per_s": 2.0, "recall": {}}
    assert RESULTS.parent.stat().st_mode & 0o077 == 0


def test_conversations_that_are_missing_end_the_recall_with_2() -> None:
    result = CliRunner().invoke(recall, ["--data", "missing"])
    assert result.exit_code == 2
    assert "--data" in result.output


def test_the_latency_needs_a_throughput() -> None:
    result = CliRunner().invoke(bench, ["--only", "latency"])
    assert result.exit_code == 2
    assert "measure that first" in result.output


def test_a_percentile_is_a_latency_that_was_measured() -> None:
    assert percentiles([number / 1000 for number in range(1, 101)]) == {"p50": 50.0, "p95": 95.0, "p99": 99.0}
    assert percentiles([0.002]) == {"p50": 2.0, "p95": 2.0, "p99": 2.0}
