"""Texts to token ids with the model's own tokenizer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tokenizers import Tokenizer, normalizers

from infra.onnx.description import ModelDescription
from schemas.problems import MisconfiguredError


@dataclass(frozen=True, slots=True)
class Tokens:
    """Token ids of each text, at least one each, and how many texts were cut to the maximum length."""

    ids: list[list[int]]
    truncated: int


class TextTokenizer:
    """Thread-safe."""

    def __init__(self, description: ModelDescription) -> None:
        try:
            self._tokenizer = Tokenizer.from_file(str(description.tokenizer))
        except Exception as error:  # the library raises nothing more specific
            raise MisconfiguredError(f"cannot read {description.tokenizer}: {error}") from error
        self._prompt = description.prompt
        # The file may ask for a fixed length, both for padding and for cutting: the model's own limit counts.
        padding, truncation = self._tokenizer.padding, self._tokenizer.truncation
        self.pad_id: int = padding["pad_id"] if padding else description.pad_id
        direction = truncation["direction"] if truncation else "right"
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(description.max_length, direction=direction)
        if description.lowercase:
            present = [self._tokenizer.normalizer] if self._tokenizer.normalizer else []
            self._tokenizer.normalizer = normalizers.Sequence([normalizers.Lowercase(), *present])

    def encode(self, texts: Sequence[str]) -> Tokens:
        encodings = self._tokenizer.encode_batch_fast([self._prompt + text for text in texts])
        return Tokens(
            # An empty text has no token if the tokenizer adds none, and there is nothing to pool over.
            ids=[encoding.ids or [self.pad_id] for encoding in encodings],
            truncated=sum(1 for encoding in encodings if encoding.overflowing),
        )
