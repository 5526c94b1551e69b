"""A page of metrics, as Prometheus reads it."""

from __future__ import annotations

from dataclasses import asdict
from importlib.metadata import version

from prometheus_client.parser import text_string_to_metric_families

from schemas.models import ModelIdentity


def samples(page: str, name: str) -> list[tuple[dict[str, str], float]]:
    """The labels and the value of each sample of this name."""
    found = (sample for family in text_string_to_metric_families(page) for sample in family.samples)
    return [(sample.labels, sample.value) for sample in found if sample.name == name]


def assert_tells_what_runs(page: str, model: ModelIdentity) -> None:
    """The one release and the one model."""
    assert samples(page, "agentmem_build_info") == [({"version": version("agentmem")}, 1)]
    labels = {name: str(value) for name, value in asdict(model).items()}
    assert samples(page, "agentmem_model_info") == [(labels, 1)]
