"""What the files for deployment say, read for the tests that check it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import BaseModel

from agentmem.settings import Settings

ROOT: Final = Path(__file__).parents[2]
DEPLOY: Final = ROOT / "infra/deploy"
K8S: Final = DEPLOY / "k8s"
DOCKERFILE: Final = DEPLOY / "Dockerfile"
COMPOSE_FILE: Final = ROOT / "docker-compose.kafka.yml"
DASHBOARD: Final = DEPLOY / "grafana/dashboards/agentmem.json"
ALERTS: Final = DEPLOY / "prometheus/alerts.yml"


def compose() -> dict[str, Any]:
    """The compose file, its variables as written."""
    document = yaml.safe_load(COMPOSE_FILE.read_text())
    assert isinstance(document, dict)
    return document


def manifests() -> list[dict[str, Any]]:
    """Every Kubernetes object as written, before kustomize."""
    paths = [path for path in sorted(K8S.rglob("*.yaml")) if path.name != "kustomization.yaml"]
    return [document for path in paths for document in yaml.safe_load_all(path.read_text())]


def workloads() -> Iterator[tuple[str, dict[str, Any]]]:
    """Each Deployment, Job and CronJob with its pod's spec."""
    for manifest in manifests():
        if manifest["kind"] in ("Deployment", "Job", "CronJob"):
            spec = manifest["spec"]
            yield manifest["metadata"]["name"], spec.get("jobTemplate", {"spec": spec})["spec"]["template"]["spec"]


def containers(pod: dict[str, Any]) -> list[dict[str, Any]]:
    """All containers of a pod."""
    return [*pod.get("initContainers", ()), *pod["containers"]]


def cluster_settings() -> dict[str, str]:
    """The environment that all pods share."""
    lines = (K8S / "base/settings.env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def variables(model: type[BaseModel] = Settings, prefix: str = "AGENTMEM") -> set[str]:
    """The environment variable of every setting."""
    found: set[str] = set()
    for name, field in model.model_fields.items():
        here = f"{prefix}_{name.upper()}"
        section = field.annotation
        if isinstance(section, type) and issubclass(section, BaseModel):
            found |= variables(section, here)
        else:
            found.add(here)
    return found


def named_variables(*paths: Path) -> set[str]:
    """Every AGENTMEM_ variable that the files name."""
    return {name for path in paths for name in re.findall(r"\bAGENTMEM_[A-Z0-9_]+\b", path.read_text())}
