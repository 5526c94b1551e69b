"""A sample conversation, and questions that it answers."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.resources import files
from typing import Any


@dataclass(frozen=True, slots=True)
class Question:
    """A question, and a part of the memory that answers it."""

    query: str
    answer: str


@dataclass(frozen=True, slots=True)
class Sample:
    """A conversation of one user: the messages as an ``add`` request takes them."""

    user_id: str
    messages: tuple[dict[str, Any], ...]
    questions: tuple[Question, ...]


def load_sample() -> Sample:
    """The sample that the demonstration publishes."""
    document = json.loads(files(__package__).joinpath("conversation.json").read_text("utf-8"))
    return Sample(
        user_id=document["user_id"],
        messages=tuple(document["messages"]),
        questions=tuple(Question(**question) for question in document["questions"]),
    )
