"""``agentmem bench embed`` with a tiny model: what is measured, compared and refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agentmem.benchmarks.embedder_process import EmbedderProcess
from agentmem.benchmarks.embedding import Measured, Refused, candidates, measure
from agentmem.benchmarks.texts import lines, made_up
from agentmem.exit_codes import ExitCode
from schemas.problems import MisconfiguredError
from tests.acceptance.command import Agentmem
from tests.unit.tiny_model import make_model, settings

TEXTS = ["w1 w2 w3", "w4", "w5 w6"]


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    return make_model(tmp_path / "model")


def test_every_installed_variant_is_measured_and_fp32_comes_first(tiny: Path) -> None:
    compared = list(candidates(settings(tiny)))
    steps: list[None] = []
    results = measure(compared, TEXTS, 2, lambda: steps.append(None))
    assert len(steps) == 4 * len(compared)
    assert [(result.provider, result.variant) for result in results][:2] == [("cpu", "fp32"), ("cpu", "int8")]
    for result in results:
        if isinstance(result, Measured):
            assert result.texts_per_s > 0
            assert result.load_s > 0
            assert result.peak_mb > 10
    fp32, int8 = results[:2]
    assert isinstance(fp32, Measured)
    assert isinstance(int8, Measured)
    assert fp32.cosine_least == pytest.approx(1)
    assert 0.97 < int8.cosine_least < 0.999999


def test_what_may_not_serve_is_named_with_the_reason(tiny: Path) -> None:
    compared = list(candidates(settings(tiny, min_cosine=1.0)))
    refused = measure(compared, TEXTS, 1, lambda: None)[1]
    assert isinstance(refused, Refused)
    assert "embedding.min_cosine is 1.000" in refused.reason


def test_without_a_model_there_is_nothing_to_compare(tmp_path: Path) -> None:
    with pytest.raises(MisconfiguredError, match=r"tokenizer\.json is missing"):
        measure(list(candidates(settings(tmp_path))), TEXTS, 1, lambda: None)


def test_a_process_that_is_killed_is_an_error(tiny: Path) -> None:
    with EmbedderProcess(settings(tiny)) as process:
        process._process.kill()
        with pytest.raises(MisconfiguredError, match="ended with exit code -9"):
            process.run(TEXTS)


def test_texts_are_the_same_for_the_same_seed(tmp_path: Path) -> None:
    assert made_up(50, 3) == made_up(50, 3) != made_up(50, 4)
    assert len(made_up(50, 3)) == 50
    (tmp_path / "texts").write_text("one\n\n  two \nthree\n")
    assert lines(tmp_path / "texts", 2) == ["one", "two"]


def test_the_command(agentmem: Agentmem, tiny: Path, tmp_path: Path) -> None:
    agentmem = agentmem.with_environment(
        AGENTMEM_EMBEDDING_MODEL=str(tiny), AGENTMEM_EMBEDDING_CACHE_DIR=str(tmp_path / "cache")
    )
    (tmp_path / "texts").write_text("\n".join(TEXTS))
    done = agentmem("bench", "embed", "--texts", "texts", "--rounds", "1", "--json")
    assert done.code == ExitCode.OK, done.err
    document = json.loads(done.out)
    assert document["texts"] == 3
    assert {(result["provider"], result["check"]) for result in document["results"]} >= {("cpu", "ok")}
    table = agentmem("--set", "embedding.min_cosine=1", "bench", "embed", "--count", "2", "--rounds", "1")
    assert table.out.startswith("cpu\tfp32\t")
    assert "cpu\tint8\t\t\t\t\trefused" in table.out
    assert "min_cosine" in table.err
    (tmp_path / "empty").touch()
    assert agentmem("bench", "embed", "--texts", "empty").code == ExitCode.USAGE
