"""The Kubernetes manifests: valid, what they name exists, and nothing runs with more rights than it needs."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

import agentmem
from agentmem.cli import COMMANDS
from agentmem.settings import load_settings
from gateway.routes import ALL as ROUTES
from streams.topics import Topics
from tests.unit.deploy_files import (
    K8S,
    cluster_settings,
    containers,
    manifests,
    named_variables,
    variables,
    workloads,
)

PODS = dict(workloads())
ALL_CONTAINERS = [
    pytest.param(container, id=f"{name}.{container['name']}")
    for name, pod in PODS.items()
    for container in containers(pod)
]
SERVING = {"agentmem-worker": "AGENTMEM_WORKER_PORT", "agentmem-gateway": "AGENTMEM_GATEWAY_PORT"}


@pytest.fixture
def _settings_of_the_cluster(no_settings_from_outside: None, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in cluster_settings().items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize("root", ["base", "overlays/production"])
def test_what_kustomize_makes_is_valid(root: str, tmp_path: Path) -> None:
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("kustomize comes with kubectl, and there is none")
    made = subprocess.run([kubectl, "kustomize", str(K8S / root)], check=True, capture_output=True, text=True)
    (tmp_path / "all.yaml").write_text(made.stdout)
    checked = subprocess.run(
        [sys.executable, "-m", "kubernetes_validate", "--strict", str(tmp_path / "all.yaml")],
        check=False,
        capture_output=True,
        text=True,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    tags = re.findall(r"image: \S*?agentmem\S*?:(\S+)", made.stdout)
    assert set(tags) == {agentmem.__version__}
    assert not re.search(r"^kind: Secret$", made.stdout, re.MULTILINE)


def test_there_is_no_ingress_without_trusted_proxies(tmp_path: Path) -> None:
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("kustomize comes with kubectl, and there is none")
    shutil.copytree(K8S.parent, tmp_path / "deploy")
    overlay = tmp_path / "deploy" / "k8s" / "overlays" / "production"
    file = overlay / "kustomization.yaml"
    lines = file.read_text().splitlines(keepends=True)
    file.write_text("".join(line for line in lines if "TRUSTED_PROXIES" not in line))
    made = subprocess.run([kubectl, "kustomize", str(overlay)], check=False, capture_output=True, text=True)
    assert made.returncode != 0
    assert "AGENTMEM_GATEWAY_TRUSTED_PROXIES" in made.stderr


def test_every_setting_that_they_name_exists() -> None:
    paths = [path for path in K8S.rglob("*") if path.is_file()]
    assert named_variables(*paths) <= variables()


@pytest.mark.usefixtures("_settings_of_the_cluster")
def test_the_settings_are_valid() -> None:
    settings = load_settings()
    assert settings.worker.host == settings.gateway.host == "0.0.0.0"


def test_every_command_that_they_name_exists() -> None:
    commands = {name: pod["containers"][0]["args"] for name, pod in PODS.items() if name != "agentmem-backup"}
    assert commands == {f"agentmem-{name}": [name] for name in ("migrate", "topics", "worker", "gateway")}
    assert {command for (command,) in commands.values()} <= set(COMMANDS)


def test_a_backup_goes_into_a_new_folder_of_its_volume() -> None:
    pod = PODS["agentmem-backup"]
    (container,) = pod["containers"]
    shell, option, script = container["command"]
    assert (shell, option) == ("sh", "-c")
    assert container["image"] == "agentmem-operator"
    done = subprocess.run(
        [shell, option, script.replace("exec agentmem", "echo")], check=True, capture_output=True, text=True
    )
    assert re.fullmatch(r"backup /backups/\d{4}-\d\d-\d\dT\d{6}Z\n", done.stdout)
    assert {"name": "backups", "mountPath": "/backups"} in container["volumeMounts"]
    (claim,) = (found for found in manifests() if found["kind"] == "PersistentVolumeClaim")
    assert {"name": "backups", "persistentVolumeClaim": {"claimName": claim["metadata"]["name"]}} in pod["volumes"]


@pytest.mark.parametrize("container", ALL_CONTAINERS)
def test_a_container_has_no_rights_and_has_limits(container: dict[str, Any]) -> None:
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert set(container["resources"]["requests"]) == {"cpu", "memory"}
    assert "memory" in container["resources"]["limits"]


@pytest.mark.parametrize("name", PODS)
def test_a_pod_is_nobody(name: str) -> None:
    pod = PODS[name]
    assert pod["serviceAccountName"] == "agentmem"
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}


@pytest.mark.parametrize("name", SERVING)
def test_probes_ask_what_answers(name: str) -> None:
    (container,) = PODS[name]["containers"]
    assert container["ports"] == [{"name": "http", "containerPort": int(cluster_settings()[SERVING[name]])}]
    probes = {kind: container[f"{kind}Probe"]["httpGet"]["path"] for kind in ("startup", "liveness", "readiness")}
    live, ready = "/health/live", "/health/ready"
    assert (
        probes
        == {
            # Nobody calls a worker: there "ready" is what a rollout waits for.
            "agentmem-worker": {"startup": live, "liveness": live, "readiness": ready},
            # A gateway that lacks a store still answers what does not need it: it must keep its callers.
            "agentmem-gateway": {"startup": ready, "liveness": live, "readiness": live},
        }[name]
    )
    assert set(probes.values()) <= {route.path for route in ROUTES}


def test_a_gateway_waits_an_hour_for_its_stores_before_it_is_restarted() -> None:
    (container,) = PODS["agentmem-gateway"]["containers"]
    probe = container["startupProbe"]
    assert probe["periodSeconds"] * probe["failureThreshold"] >= 3600


def egress(component: str) -> set[int]:
    """The ports that a component may go out to."""
    labels = {"app.kubernetes.io/name": "agentmem", "app.kubernetes.io/component": component}
    policies = [found["spec"] for found in manifests() if found["kind"] == "NetworkPolicy"]
    return {
        port["port"]
        for policy in policies
        if "Egress" in policy["policyTypes"] and policy["podSelector"]["matchLabels"].items() <= labels.items()
        for rule in policy["egress"]
        for port in rule["ports"]
    }


def test_each_reaches_the_stores_and_only_who_calls_others_the_internet() -> None:
    components = {name.removeprefix("agentmem-") for name in PODS}
    assert all({53, 9092, 5432, 8080, 50051} <= egress(component) for component in components)
    assert {component for component in components if 443 in egress(component)} == {"worker", "gateway"}


@pytest.mark.parametrize("name", PODS)
def test_what_is_secret_of_kafka_is_read_where_its_settings_are(name: str) -> None:
    (container,) = PODS[name]["containers"]
    assert container["envFrom"] == [
        {"configMapRef": {"name": "agentmem-settings"}},
        {"secretRef": {"name": "agentmem-kafka", "optional": True}},
    ]


def test_the_worker_has_half_a_gibibyte() -> None:
    (container,) = PODS["agentmem-worker"]["containers"]
    assert container["resources"]["limits"]["memory"] == "512Mi"


def test_each_deployment_has_a_disruption_budget_and_a_policy() -> None:
    for kind in ("PodDisruptionBudget", "NetworkPolicy"):
        assert set(SERVING) <= {found["metadata"]["name"] for found in manifests() if found["kind"] == kind}


@pytest.mark.usefixtures("_settings_of_the_cluster")
def test_scaling_follows_the_workers_group() -> None:
    settings = load_settings().kafka
    (scaled,) = (found["spec"] for found in manifests() if found["kind"] == "ScaledObject")
    (trigger,) = scaled["triggers"]
    assert scaled["maxReplicaCount"] == settings.partitions
    assert trigger["metadata"]["consumerGroup"] == settings.group
    assert trigger["metadata"]["topic"] == Topics.of(settings).requests
    assert trigger["metadata"]["bootstrapServersFromEnv"] in cluster_settings()


def test_the_ingress_passes_on_what_callers_need_and_nothing_of_the_operator() -> None:
    (ingress,) = (found["spec"] for found in manifests() if found["kind"] == "Ingress")
    prefixes = tuple(f"{path['path']}/" for path in ingress["rules"][0]["http"]["paths"])
    operators = ("/metrics", "/health", "/configure")
    paths = {f"{route.path}/" for route in ROUTES if route.scope and not route.path.startswith(operators)}
    assert not {path for path in paths if not path.startswith(prefixes)}
    assert not {path for path in operators if f"{path}/".startswith(prefixes)}


def test_secrets_are_only_referred_to() -> None:
    assert "Secret" not in {found["kind"] for found in manifests()}
    text = yaml.safe_dump(manifests())
    assert {"postgres-dsn", "weaviate-api-key"} <= set(re.findall(r"key: ([\w-]+)", text))
