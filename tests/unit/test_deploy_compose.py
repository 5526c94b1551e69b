"""docker-compose.kafka.yml: what it names exists, its versions are the local stack's, it has no default secret."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

import agentmem
from agentmem.cli import COMMANDS
from infra.local import versions
from streams.settings import CLIENT_MAX_BYTES
from tests.unit.deploy_files import COMPOSE_FILE, DEPLOY, ROOT, compose, named_variables, variables

SERVICES: dict[str, dict[str, Any]] = compose()["services"]
JOBS = {"model", "migrate", "topics"}
ON_DEMAND = {"operator"}
OURS = {"worker", "gateway", "migrate", "topics"}
PUBLISHED = {"gateway", "prometheus", "grafana"}
SCHEMA_MODULE = "github.com/compose-spec/compose-go/v2@v2.16.2"


def test_it_is_what_the_compose_specification_allows(tmp_path: Path) -> None:
    go = shutil.which("go")
    if go is None:
        pytest.skip("the specification's schema comes with Go's module of it, and there is no go")
    found = subprocess.run(
        [go, "mod", "download", "-json", SCHEMA_MODULE], cwd=tmp_path, check=True, capture_output=True, text=True
    )
    schema = json.loads((Path(json.loads(found.stdout)["Dir"]) / "schema/compose-spec.json").read_text())
    # Variables first, as compose does; any text will do for those that are required.
    text = re.sub(r"\$\{[A-Z_]+:\?[^}]*\}", "given", COMPOSE_FILE.read_text())
    text = re.sub(r"\$\{[A-Z_]+:-([^}]*)\}", r"\1", text)
    jsonschema.validate(yaml.safe_load(text), schema)


def test_every_setting_that_it_names_exists() -> None:
    assert named_variables(COMPOSE_FILE) <= variables()


def test_every_command_that_it_names_exists() -> None:
    assert {name: SERVICES[name]["command"] for name in OURS} == {name: [name] for name in OURS}
    assert set(COMMANDS) >= OURS


def test_versions_are_those_of_the_local_stack() -> None:
    images = {name: service["image"] for name, service in SERVICES.items()}
    assert images["kafka"] == f"apache/kafka:{versions.KAFKA}"
    assert images["weaviate"] == f"semitechnologies/weaviate:{versions.WEAVIATE.removeprefix('v')}"
    assert re.fullmatch(rf"postgres:{versions.POSTGRES_MAJOR}\.\d+", images["postgres"])
    assert {images[name] for name in OURS} == {f"agentmem:{agentmem.__version__}"}
    assert images["model"] == f"agentmem-model:{agentmem.__version__}"
    assert images["operator"] == f"agentmem-operator:{agentmem.__version__}"
    assert SERVICES["operator"]["build"]["args"] == {"POSTGRES": str(versions.POSTGRES_MAJOR)}


@pytest.mark.parametrize("name", SERVICES)
def test_every_image_is_pinned(name: str) -> None:
    assert re.search(r":v?\d+\.\d+(\.\d+)?$", SERVICES[name]["image"])


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_has_limits_and_a_restart_policy(name: str) -> None:
    assert set(SERVICES[name]["deploy"]["resources"]["limits"]) == {"cpus", "memory"}
    others = "no" if name in ON_DEMAND else "unless-stopped"
    assert SERVICES[name]["restart"] == ("on-failure:10" if name in JOBS else others)
    assert ("profiles" in SERVICES[name]) == (name in ON_DEMAND)


@pytest.mark.parametrize("name", sorted(set(SERVICES) - JOBS - ON_DEMAND))
def test_every_service_that_stays_has_a_health_check(name: str) -> None:
    assert {"test", "interval", "timeout", "retries", "start_period"} <= set(SERVICES[name]["healthcheck"])


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_waits_for_health_and_for_the_end_of_jobs(name: str) -> None:
    for other, wait in SERVICES[name].get("depends_on", {}).items():
        assert wait["condition"] == ("service_completed_successfully" if other in JOBS else "service_healthy")


@pytest.mark.parametrize("name", SERVICES)
def test_no_service_may_gain_rights(name: str) -> None:
    assert SERVICES[name]["cap_drop"] == ["ALL"]
    assert SERVICES[name]["security_opt"] == ["no-new-privileges:true"]
    assert name not in OURS | ON_DEMAND or SERVICES[name]["read_only"]


def test_only_the_doors_are_published_and_on_loopback() -> None:
    assert {name for name, service in SERVICES.items() if "ports" in service} == PUBLISHED
    for name in PUBLISHED:
        (port,) = SERVICES[name]["ports"]
        assert port.startswith(("127.0.0.1:", "${GATEWAY_ADDRESS:-127.0.0.1}:"))
    assert compose()["networks"]["stores"] == {"internal": True}


def test_who_calls_others_has_a_way_out_and_no_store_has_one() -> None:
    # Webhooks leave from the worker, and the gateway asks for an issuer's keys; the others are published.
    outside = {name for name, service in SERVICES.items() if "outside" in service.get("networks", ())}
    assert outside == PUBLISHED | {"worker"}
    assert "stores" in SERVICES["worker"]["networks"]


def test_secrets_have_no_default() -> None:
    secrets = {
        f"{name}.{variable}": str(value)
        for name, service in SERVICES.items()
        for variable, value in service.get("environment", {}).items()
        if re.search(r"(PASSWORD|KEYS?|SECRET|TOKEN|DSN)$", variable)
    }
    assert secrets
    assert not {name for name, value in secrets.items() if not re.search(r"\$\{[A-Z_]+:\?", value)}


def test_the_example_names_every_variable_and_holds_no_value() -> None:
    text = COMPOSE_FILE.read_text()
    example = (DEPLOY / ".env.example").read_text()
    assert set(re.findall(r"^([A-Z_]+)=$", example, re.MULTILINE)) == set(re.findall(r"\$\{([A-Z_]+):\?", text))
    assert dict(re.findall(r"^# ([A-Z_]+)=(.+)$", example, re.MULTILINE)) == dict(
        re.findall(r"\$\{([A-Z_]+):-([^}]*)\}", text)
    )
    assert not re.search(r"^[A-Z_]+=.", example, re.MULTILINE)


def test_what_is_mounted_is_there() -> None:
    volumes = [mount for service in SERVICES.values() for mount in service.get("volumes", ())]
    sources = {mount.split(":")[0] for mount in volumes}
    assert {source for source in sources if not source.startswith("./")} == set(compose()["volumes"])
    assert all((ROOT / source).exists() for source in sources if source.startswith("./"))


def test_kafka_takes_the_largest_record() -> None:
    kafka = SERVICES["kafka"]["environment"]
    assert CLIENT_MAX_BYTES < int(kafka["KAFKA_MESSAGE_MAX_BYTES"]) == int(kafka["KAFKA_REPLICA_FETCH_MAX_BYTES"])


def test_prometheus_asks_the_ports_that_are_set() -> None:
    scrapes = yaml.safe_load((DEPLOY / "prometheus/prometheus.yml").read_text())["scrape_configs"]
    asked = {job["dns_sd_configs"][0]["names"][0]: job["dns_sd_configs"][0]["port"] for job in scrapes}
    environment = SERVICES["worker"]["environment"]
    assert asked == {name: int(environment[f"AGENTMEM_{name.upper()}_PORT"]) for name in ("worker", "gateway")}
