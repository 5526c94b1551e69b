"""Writes the alert rules as the Prometheus operator wants them.

``python -m infra.deploy.prometheus_rule`` after each change of ``prometheus/alerts.yml``; a test compares the two.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import yaml

_HERE: Final = Path(__file__).parent
RULES: Final = _HERE / "prometheus/alerts.yml"
TARGET: Final = _HERE / "k8s/components/monitoring/prometheus-rule.yaml"


def prometheus_rule() -> str:
    """The manifest for the rules as they stand."""
    manifest = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "agentmem"},
        "spec": yaml.safe_load(RULES.read_text()),
    }
    return "# Made from prometheus/alerts.yml by python -m infra.deploy.prometheus_rule.\n" + yaml.safe_dump(
        manifest, sort_keys=False, width=115
    )


if __name__ == "__main__":
    TARGET.write_text(prometheus_rule())
