"""Dashboard and alerts: every expression is PromQL over metrics and labels that exist, every runbook is there."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import promql_parser
import pytest
import yaml
from prometheus_client.metrics import MetricWrapperBase

import infra.telemetry.metrics
from infra.deploy.prometheus_rule import TARGET, prometheus_rule
from tests.unit.deploy_files import ALERTS, DASHBOARD, DEPLOY, K8S, ROOT

_SUFFIXES: Final = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count"), "gauge": ("",)}
#: What Prometheus itself adds.
_OF_PROMETHEUS: Final = {"up": {"job", "instance"}}
#: What it has of the kubelet and of node_exporter.
_OF_DISKS: Final = {
    "kubelet_volume_stats_available_bytes": {"namespace", "persistentvolumeclaim"},
    "kubelet_volume_stats_capacity_bytes": {"namespace", "persistentvolumeclaim"},
    "node_filesystem_avail_bytes": {"instance", "mountpoint"},
    "node_filesystem_size_bytes": {"instance", "mountpoint"},
}


def samples() -> dict[str, set[str]]:
    """The name of every time series that AgentMem or its Prometheus has, with its labels."""
    found = _OF_PROMETHEUS | _OF_DISKS
    for metric in vars(infra.telemetry.metrics).values():
        if isinstance(metric, MetricWrapperBase):
            family = next(iter(metric.describe()))
            for suffix in _SUFFIXES[family.type]:
                labels = {*metric._labelnames, "job", "instance"}
                found[family.name + suffix] = labels | ({"le"} if suffix == "_bucket" else set())
    return found


SAMPLES: Final = samples()
RULES: Final[list[dict[str, Any]]] = [
    rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]
]
PANELS: Final[list[dict[str, Any]]] = json.loads(DASHBOARD.read_text())["panels"]


def expressions() -> Iterator[tuple[str, str, str]]:
    """Each expression with where it stands and the text that is shown with it."""
    for rule in RULES:
        yield rule["alert"], rule["expr"], yaml.safe_dump(rule["annotations"])
    for panel in PANELS:
        for target in panel.get("targets", ()):
            expression = target["expr"].replace("$__rate_interval", "5m")
            yield f"{panel['title']}.{target['refId']}", expression, target["legendFormat"]


@pytest.mark.parametrize(
    ("expression", "shown"),
    [pytest.param(expression, shown, id=name) for name, expression, shown in expressions()],
)
def test_an_expression_is_over_what_exists(expression: str, shown: str) -> None:
    promql_parser.parse(expression)
    outside_of_texts = re.sub(r'"[^"]*"', '""', expression)
    named = set(re.findall(r"\b(?:(?:agentmem|kubelet|node)_\w+|up)\b", outside_of_texts))
    assert named
    assert named <= SAMPLES.keys()
    labels = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)\s*\"", outside_of_texts))
    labels |= {label for by in re.findall(r"\bby \(([^)]*)\)", outside_of_texts) for label in by.split(", ")}
    labels |= set(re.findall(r"\{\{\s*(?:\$labels\.)?(\w+)\s*\}\}", shown))
    assert labels <= set().union(*(SAMPLES[name] for name in named))


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_no_alert_waits_for_a_rate_to_fall_to_zero(rule: dict[str, Any]) -> None:
    # A counter with labels has no series before it first counts: its rate is then nothing, which equals no number.
    assert not re.search(r"\b(rate|increase)\([^)]*\)+\s*(==|<)", rule["expr"])


def test_alerts_fire_when_they_should() -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool comes with Prometheus, and there is none")
    cases = Path(__file__).with_name("alerts_test.yml")
    done = subprocess.run([promtool, "test", "rules", str(cases)], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_metric_is_on_the_dashboard() -> None:
    shown = DASHBOARD.read_text()
    families = {re.sub(r"_(bucket|sum|count)$", "", name) for name in SAMPLES}
    assert not {name for name in families if name not in shown}


def test_every_panel_has_its_place() -> None:
    places = [
        (panel["gridPos"]["y"] + y, panel["gridPos"]["x"] + x)
        for panel in PANELS
        for y in range(panel["gridPos"]["h"])
        for x in range(panel["gridPos"]["w"])
    ]
    assert len(places) == len(set(places))
    assert all(column < 24 for _, column in places)
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_says_what_to_do(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in ("warning", "critical")
    assert {"summary", "description"} <= set(rule["annotations"])
    page, _, anchor = rule["annotations"]["runbook_url"].partition("#")
    assert anchor == rule["alert"].lower()
    section = re.search(
        rf"^## {rule['alert']}\n(.*?)(?=^## |\Z)", (ROOT / page).read_text(), re.MULTILINE | re.DOTALL
    )
    assert section is not None
    assert {"**Means**", "**Check**", "**Do**"} <= set(re.findall(r"\*\*\w+\*\*", section[1]))


def test_every_runbook_has_its_alert() -> None:
    headings = re.findall(r"^## (AgentMem\w+)$", (ROOT / "docs/runbooks.md").read_text(), re.MULTILINE)
    assert headings == sorted(headings, key=[rule["alert"] for rule in RULES].index)
    assert len(headings) == len(RULES)


def test_the_operators_rules_are_the_same() -> None:
    assert TARGET.read_text() == prometheus_rule(), "run python -m infra.deploy.prometheus_rule"


def test_jobs_are_scraped_under_the_names_that_alerts_use() -> None:
    used = set(re.findall(r'job="([^"]+)"', ALERTS.read_text() + DASHBOARD.read_text().replace('\\"', '"')))
    scrapes = yaml.safe_load((DEPLOY / "prometheus/prometheus.yml").read_text())["scrape_configs"]
    monitors = yaml.safe_load_all((K8S / "components/monitoring/pod-monitors.yaml").read_text())
    assert used == {job["job_name"] for job in scrapes}
    assert used == {
        monitor["spec"]["podMetricsEndpoints"][0]["relabelings"][0]["replacement"] for monitor in monitors
    }
