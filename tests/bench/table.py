"""The results as one table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.table import Table

from tests.bench.variants import VARIANTS

Row = tuple[str, str, str]


def table(results: Mapping[str, Any]) -> Table:
    """Every result that is there, with its aim where it has one."""
    shown = Table(title="AgentMem on this machine", show_edge=False)
    shown.add_column("measured")
    shown.add_column("result", justify="right")
    shown.add_column("aim", justify="right")
    for rows in (_throughput(results), _plane(results), _latency(results), _gateway(results)):
        for row in rows:
            shown.add_row(*row)
        shown.add_section()
    return shown


def _throughput(results: Mapping[str, Any]) -> Iterator[Row]:
    for variant in VARIANTS:
        if (result := results.get(variant)) is not None:
            ratios = ", ".join(f"{ratio:.2f}" for ratio in result["ratios"])
            yield f"{variant}: the embedder alone", f"{result['embed_per_s']:,.0f} texts/s", ""
            yield f"{variant}: the pipeline", f"{result['pipeline_per_s']:,.0f} memories/s", ""
            yield f"{variant}: their ratio ({ratios})", f"{result['ratio']:.2f}", "0.80 or more"
            yield f"{variant}: the worker's peak memory", f"{result['rss_mb']:,} MB", "below 512"
            yield f"{variant}: the worker's start until ready", f"{result['start_s']:.1f} s", "below 10"


def _plane(results: Mapping[str, Any]) -> Iterator[Row]:
    if "plane_per_s" in results:
        yield "the pipeline without embedding", f"{results['plane_per_s']:,.0f} memories/s", ""
        for stage, seconds in results["plane_stage_seconds"].items():
            yield f"  {stage}, of {results['plane_records']:,} memories", f"{seconds:.2f} s", ""


def _latency(results: Mapping[str, Any]) -> Iterator[Row]:
    if "latency_ms" in results:
        rate = f"{results['latency_rate_per_s']:g} requests/s"
        yield f"from a request to its event, at {rate}", _milliseconds(results["latency_ms"]), "P99 below 50"


def _gateway(results: Mapping[str, Any]) -> Iterator[Row]:
    for kind, latencies in results.get("gateway_ms", {}).items():
        aim = "P95 below 50" if kind == "health" else "P95 below 100"
        yield f"gateway: {kind}, at {results['gateway_rate_per_s']:g} calls/s", _milliseconds(latencies), aim


def _milliseconds(latencies: Mapping[str, float]) -> str:
    return " / ".join(f"{latencies[name]:.1f}" for name in ("p50", "p95", "p99")) + " ms"
