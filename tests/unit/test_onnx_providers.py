"""Execution providers: what is refused where one is missing, and when vectors count as fp32's."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto
from pydantic import ValidationError

from infra.onnx import load_embedder, onnxruntime_session
from infra.onnx.check import Closeness, served_variant
from infra.onnx.providers import feeding, is_installed
from schemas.problems import MisconfiguredError
from tests.unit.tiny_model import make_model, settings

HERE = Path("/nowhere")
needs_openvino = pytest.mark.skipif(not is_installed("openvino"), reason="the package openvino is not installed")
CUDA = "CUDAExecutionProvider"


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    return make_model(tmp_path)


@pytest.mark.parametrize(
    ("provider", "variant", "has"),
    [("cpu", "bf16", "fp32 and int8"), ("cuda", "int8", "fp32"), ("openvino", "int8", "fp32 and bf16")],
)
def test_a_provider_has_its_variants_only(provider: str, variant: str, has: str) -> None:
    with pytest.raises(ValidationError, match=f"the provider {provider} has {has} only"):
        settings(HERE, provider=provider, variant=variant)


def test_what_is_not_set_suits_the_provider() -> None:
    cores = len(os.sched_getaffinity(0))
    assert (feeding(settings(HERE)).threads, feeding(settings(HERE)).micro_batch_tokens) == (cores, 256)
    assert feeding(settings(HERE, provider="cuda")).micro_batch_tokens > 256
    given = feeding(settings(HERE, provider="cuda", threads=7, micro_batch_tokens=99))
    assert (given.threads, given.micro_batch_tokens) == (7, 99)


class TestMissing:
    def test_openvino(self, tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "openvino", None)
        with pytest.raises(MisconfiguredError, match=r"openvino needs the package openvino.*openvino\.lock"):
            load_embedder(settings(tiny, provider="openvino"))

    @pytest.mark.skipif(is_installed("cuda"), reason="onnxruntime-gpu is installed")
    def test_cuda(self, tiny: Path) -> None:
        with pytest.raises(MisconfiguredError, match=r"onnxruntime-gpu in place of onnxruntime.*cuda\.lock"):
            load_embedder(settings(tiny, provider="cuda"))

    @pytest.mark.skipif(is_installed("cuda"), reason="onnxruntime-gpu is installed")
    def test_two_packages_that_overwrite_each_other(self, tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(onnxruntime_session, "version", lambda package: "1.0")
        with pytest.raises(MisconfiguredError, match=r"both installed.*new virtual environment"):
            load_embedder(settings(tiny, provider="cuda"))

    @pytest.mark.filterwarnings("ignore:Specified provider")  # said by a package without CUDA
    def test_a_gpu(self, tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Without a GPU, ONNX Runtime quietly runs on the CPU."""
        available = [CUDA, *onnxruntime.get_available_providers()]
        monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: available)
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
        with pytest.raises(MisconfiguredError, match=r"finds no usable NVIDIA GPU here.*nvidia-smi"):
            load_embedder(settings(tiny, provider="cuda"))


class TestServedVariant:
    @pytest.mark.parametrize(
        ("provider", "variant", "least", "recorded"),
        [
            ("openvino", "fp32", 0.99999, "fp32"),
            ("cuda", "fp32", 0.9999, "fp32"),
            ("openvino", "bf16", 0.9999, "fp32"),
            ("openvino", "bf16", 0.9998, "bf16"),
            ("cpu", "int8", 0.99999, "int8"),
        ],
    )
    def test_vectors_that_are_fp32s_are_recorded_as_such(
        self, provider: str, variant: str, least: float, recorded: str
    ) -> None:
        configured = settings(HERE, provider=provider, variant=variant)
        assert served_variant(configured, Closeness(mean=least, least=least)) == recorded

    def test_fp32_that_is_not_fp32_is_refused_whatever_the_floor(self) -> None:
        configured = settings(HERE, provider="cuda", min_cosine=0)
        with pytest.raises(MisconfiguredError, match=r"provider cuda .*fp32.*0\.99900.*Set the provider to cpu"):
            served_variant(configured, Closeness(mean=1, least=0.999))

    def test_wrong_bf16_is_refused(self) -> None:
        configured = settings(HERE, provider="openvino", variant="bf16")
        with pytest.raises(MisconfiguredError, match=r"bf16 is not close enough.*0\.390.*min_cosine is 0\.970"):
            served_variant(configured, Closeness(mean=0.39, least=0.1))

    def test_one_wrong_sentence_among_right_ones_is_refused(self) -> None:
        configured = settings(HERE, provider="cpu", variant="int8")
        assert served_variant(configured, Closeness(mean=0.99, least=0.92)) == "int8"
        with pytest.raises(MisconfiguredError, match=r"the least 0\.760; .*0\.910 of each sentence"):
            served_variant(configured, Closeness(mean=0.99, least=0.76))


@needs_openvino
class TestOpenVino:
    @pytest.mark.parametrize(
        "shape",
        [
            {},
            {"inputs": ("input_ids",)},
            {"inputs": ("input_ids", "attention_mask", "token_type_ids", "position_ids")},
            {"integer": TensorProto.INT32},
            {"output": "sentence_embedding"},
        ],
        ids=str,
    )
    def test_graphs_of_many_shapes_give_the_vectors_of_the_cpu(
        self, tmp_path: Path, shape: dict[str, Any]
    ) -> None:
        make_model(tmp_path, **shape)
        texts = [" ".join(f"w{(i + k) % 60}" for k in range(i * 7 % 10)) for i in range(100)]
        by_provider = [
            load_embedder(settings(tmp_path, provider=provider, threads=3, micro_batch_tokens=20)).embed(texts)
            for provider in ("cpu", "openvino")
        ]
        np.testing.assert_allclose(by_provider[1].vectors, by_provider[0].vectors, atol=1e-5)

    def test_the_identity_is_that_of_the_cpu(self, tiny: Path) -> None:
        there = load_embedder(settings(tiny, provider="openvino")).identity
        assert there == load_embedder(settings(tiny)).identity

    def test_wrong_vectors_are_refused(self, tiny: Path) -> None:
        load_embedder(settings(tiny, provider="openvino"))
        (path,) = (tiny / "cache/onnx").glob("*.npy")
        np.save(path, np.load(path)[::-1])
        with pytest.raises(MisconfiguredError, match=r"provider openvino.*not close enough"):
            load_embedder(settings(tiny, provider="openvino"))

    def test_nothing_is_sent_and_nothing_left_at_home(self, tiny: Path) -> None:
        home = tiny / "home"
        home.mkdir()
        code = (
            "import socket, sys\n"
            "from pathlib import Path\n"
            "def refuse(*args, **kwargs): print('network', args)\n"
            "socket.socket.connect = socket.getaddrinfo = refuse\n"
            "from infra.onnx import EmbeddingSettings, load_embedder\n"
            "model, cache_dir = sys.argv[1], Path(sys.argv[2])\n"
            "load_embedder(EmbeddingSettings(model=model, provider='openvino', cache_dir=cache_dir))\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, str(tiny), str(tiny / "cache")],
            env={**os.environ, "HOME": str(home)},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout == ""
        assert not (home / "intel").exists()

    def test_a_broken_graph_is_named(self, tiny: Path) -> None:
        (tiny / "onnx/model.onnx").write_bytes(b"\x00 nonsense")
        with pytest.raises(MisconfiguredError, match=r"OpenVINO cannot load .*model\.onnx"):
            load_embedder(settings(tiny, provider="openvino"))
