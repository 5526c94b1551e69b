"""Texts to embed: made up like the turns of a conversation, or a file's lines."""

from __future__ import annotations

import random
import re
from pathlib import Path
from typing import Final

from agentmem.samples import load_sample

_SENTENCE_END: Final = re.compile(r"(?<=[.!?])\s+")
# How many sentences a turn has, and how often.
_LENGTHS: Final = {1: 4, 2: 4, 3: 2, 4: 1}


def made_up(count: int, seed: int) -> list[str]:
    """Turns of one to four sentences of the sample conversation, the same for the same seed."""
    sentences = [part for message in load_sample().messages for part in _SENTENCE_END.split(message["content"])]
    chance = random.Random(seed)  # noqa: S311 - texts, not secrets
    lengths = chance.choices(list(_LENGTHS), list(_LENGTHS.values()), k=count)
    return [" ".join(chance.sample(sentences, length)) for length in lengths]


def lines(path: Path, count: int) -> list[str]:
    """The first ``count`` lines of a UTF-8 file that are not empty."""
    with path.open(encoding="utf-8") as file:
        texts = [text for line in file if (text := line.strip())]
    return texts[:count]
