"""What a model's own files say about it: its modules, pooling, maximum length and prompt."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from infra.onnx.pooling import POOLINGS
from infra.onnx.source import ModelSource
from schemas.problems import MisconfiguredError

_MODULES: Final = "modules.json"
_DECISIVE: Final = {
    _MODULES,
    "config.json",
    "config_sentence_transformers.json",
    "sentence_bert_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
}
_PUBLIC_NAME: Final = re.compile(r"\w[\w.-]*(/\w[\w.-]*)?")
# The flag of each pooling in files older than sentence-transformers' `pooling_mode`, in the order in which
# several poolings are joined.
_POOLING_FLAGS: Final = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}


@dataclass(frozen=True, slots=True)
class Pooling:
    """How token vectors become one: the poolings to join, and the dimension of the result if stated."""

    modes: tuple[str, ...]
    dimension: int | None


@dataclass(frozen=True, slots=True)
class ModelDescription:
    """How to feed a model. ``max_length`` is in tokens, special ones included."""

    name: str
    content: str
    tokenizer: Path
    max_length: int
    lowercase: bool
    prompt: str
    pad_id: int


def describe(source: ModelSource) -> ModelDescription:
    """Read the files that say how to feed the model; raises :class:`MisconfiguredError` if one is missing."""
    root = _transformer_path(source)
    tokenizer = source.directory / root / "tokenizer.json"
    if not tokenizer.is_file():
        raise MisconfiguredError(f"{tokenizer} is missing: save the model with its fast tokenizer.")
    config = source.json_object(f"{root}config.json")
    sentence = source.json_object(f"{root}sentence_bert_config.json")
    limits = (
        sentence.get("max_seq_length"),
        source.json_object(f"{root}tokenizer_config.json").get("model_max_length"),
        config.get("max_position_embeddings"),
    )
    known = [int(limit) for limit in limits if isinstance(limit, int | float) and limit > 0]
    if not known:
        raise MisconfiguredError(
            f"{source.directory} does not say how many tokens a text may have: set max_seq_length in "
            "sentence_bert_config.json."
        )
    content = _content_hash(source)
    local_name = config.get("_name_or_path")
    if not (isinstance(local_name, str) and _PUBLIC_NAME.fullmatch(local_name)):
        local_name = f"local-{content[:8]}"
    return ModelDescription(
        name=source.name or local_name,
        content=content,
        tokenizer=tokenizer,
        max_length=min(known),
        lowercase=bool(sentence.get("do_lower_case")),
        prompt=_prompt(source),
        pad_id=config["pad_token_id"] if isinstance(config.get("pad_token_id"), int) else 0,
    )


def read_pooling(source: ModelSource) -> Pooling:
    """How the model's files say to pool; raises :class:`MisconfiguredError` for modules not supported here."""
    modules = _modules(source)
    for module in modules:
        if _kind(module) not in ("transformer", "pooling", "normalize", "dropout"):
            raise MisconfiguredError(
                f"the model has a module {module.get('type')}, which AgentMem does not run: export the whole "
                "model to ONNX, so that the graph has an output sentence_embedding, or choose another."
            )
    places = [str(module.get("path", "")) for module in modules if _kind(module) == "pooling"]
    if len(places) != 1:
        raise MisconfiguredError(
            f"{source.directory / _MODULES} must name one Pooling module, it names {len(places)}: "
            "save the model with sentence-transformers."
        )
    name = f"{places[0]}/config.json"
    config = source.json_object(name)
    mode = config.get("pooling_mode")
    if isinstance(mode, str):
        modes = [mode]
    else:
        modes = mode or [pooling for flag, pooling in _POOLING_FLAGS.items() if config.get(flag)]
    if not modes or any(mode not in POOLINGS for mode in modes):
        raise MisconfiguredError(
            f"{source.directory / name} names the pooling {', '.join(map(str, modes)) or 'of no kind'}; "
            f"supported are {', '.join(POOLINGS)}."
        )
    if _prompt(source) and config.get("include_prompt") is False:
        raise MisconfiguredError(f"{source.directory / name}: pooling without the prompt is not supported.")
    width = config.get("word_embedding_dimension", config.get("embedding_dimension"))
    return Pooling(tuple(modes), width * len(modes) if isinstance(width, int) else None)


def _modules(source: ModelSource) -> list[dict[str, Any]]:
    modules = source.json(_MODULES, [])
    if not (isinstance(modules, list) and all(isinstance(module, dict) for module in modules)):
        raise MisconfiguredError(f"{source.directory / _MODULES} should hold a list of modules.")
    return modules


def _kind(module: dict[str, Any]) -> str:
    return str(module.get("type", "")).rpartition(".")[2].lower()


def _transformer_path(source: ModelSource) -> str:
    paths = [str(module.get("path", "")) for module in _modules(source) if _kind(module) == "transformer"]
    return f"{paths[0]}/" if paths and paths[0] else ""


def _prompt(source: ModelSource) -> str:
    config = source.json_object("config_sentence_transformers.json")
    prompts = config.get("prompts") or {}
    return str(prompts.get(config.get("default_prompt_name")) or "")


def _content_hash(source: ModelSource) -> str:
    """SHA-256, in hex, of all files that decide what vectors come out."""
    total = hashlib.sha256()
    graph = source.graph
    texts = [path for path in source.directory.rglob("*.json") if path.name in _DECISIVE]
    for path in sorted([graph, *graph.parent.glob("*.onnx_data"), *texts]):
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").digest()
        total.update(path.relative_to(source.directory).as_posix().encode() + b"\0" + digest)
    return total.hexdigest()
