"""Projects and feedback."""

from __future__ import annotations

from typing import Literal

from typing_extensions import TypedDict


class Project(TypedDict, total=False):
    """A project with its settings, or those fields that were asked for."""

    id: str
    project_id: str
    org_id: str
    name: str
    custom_instructions: str | None
    agent_custom_instructions: str | None
    custom_categories: list[dict[str, str]] | None
    multilingual: bool | None


class ProjectUpdated(Project):
    """A project after a change."""

    message: str


class FeedbackNoted(TypedDict):
    """What was noted."""

    message: str
    memory_id: str
    feedback: Literal["POSITIVE", "NEGATIVE", "VERY_NEGATIVE"] | None
    feedback_reason: str | None
