"""A project's settings as mem0's clients read and write them, and feedback."""

from __future__ import annotations

from typing import Any, Final, Literal

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from gateway.auth.caller import CALLER, may_read
from gateway.http.bodies import read_body, refuse, validated
from gateway.http.jsonio import json_response
from gateway.http.problems import ApiError, not_found
from gateway.http.routing import Route
from gateway.openapi.operation import operation
from gateway.openapi.parameters import EXAMPLE_ID
from gateway.routes.health import ORGANISATION
from gateway.services import SERVICES
from gateway.shapes.projects import FeedbackNoted, Project, ProjectUpdated
from gateway.writes.changing import parse_memory_id

_PATH: Final = "/api/v1/orgs/organizations/{organisation}/projects/{project}/"
_UNSUPPORTED: Final = ("decay", "memory_depth", "usecase_setting")
_CATEGORIES_MAX: Final = 100


class ProjectSettings(BaseModel):
    """What can be set. It is kept for those who extract facts; nothing in the gateway acts on it."""

    model_config = ConfigDict(extra="ignore")

    custom_instructions: str | None = Field(None, max_length=20_000)
    agent_custom_instructions: str | None = Field(None, max_length=20_000)
    custom_categories: list[dict[str, str]] | None = Field(None, max_length=_CATEGORIES_MAX)
    multilingual: bool | None = None


class Feedback(BaseModel):
    """What the caller thinks of a memory."""

    memory_id: str = Field(json_schema_extra={"format": "uuid"})
    feedback: Literal["POSITIVE", "NEGATIVE", "VERY_NEGATIVE"] | None = None
    feedback_reason: str | None = Field(None, max_length=2_000)


class FieldsQuery(BaseModel):
    """Which fields of the project to give."""

    fields: list[str] = Field([], description="Only these fields; none named are all.")


@operation(query=FieldsQuery, answers={200: Project}, problems=(404,))
async def get(request: web.Request) -> web.Response:
    """The project with its settings, or the ``fields`` of it that the query names."""
    services, project = request.app[SERVICES], _project(request)
    settings = await services.call(services.database.projects.settings, project)
    return json_response(_shown(request, project, settings))


@operation(
    body=ProjectSettings,
    example={"custom_instructions": "Only what is about music."},
    unsupported=_UNSUPPORTED,
    query=FieldsQuery,
    answers={200: ProjectUpdated},
    problems=(404,),
)
async def update(request: web.Request) -> web.Response:
    """Set some of the project's settings; the others stay, null clears. A key that may read is shown them all."""
    services, project = request.app[SERVICES], _project(request)
    body = read_body(request, keep=ProjectSettings.model_fields)
    refuse(body, _UNSUPPORTED)
    changes = validated(ProjectSettings, body).model_dump(exclude_unset=True)
    if not changes:
        names = ", ".join(ProjectSettings.model_fields)
        raise ApiError(400, "nothing_to_update", f"Send at least one of {names}.", field="custom_instructions")
    settings = await services.call(services.database.projects.set, project, changes)
    shown = _shown(request, project, settings) if may_read(request) else changes
    return json_response({"message": "The project was updated.", **shown})


@operation(
    body=Feedback,
    example={"memory_id": EXAMPLE_ID, "feedback": "POSITIVE"},
    answers={200: FeedbackNoted},
    problems=(404,),
)
async def feedback(request: web.Request) -> web.Response:
    """Note what the caller thinks of a memory; null takes it back."""
    services, project = request.app[SERVICES], request[CALLER].project
    given = validated(Feedback, read_body(request))
    id = parse_memory_id(given.memory_id)
    if await services.call(services.database.memory, project, id) is None:
        raise not_found()
    projects = services.database.projects
    await services.call(projects.give_feedback, project, id, given.feedback, given.feedback_reason)
    return json_response({"message": "The feedback was noted.", **given.model_dump()})


def _project(request: web.Request) -> str:
    project = request[CALLER].project
    if (request.match_info["organisation"], request.match_info["project"]) != (ORGANISATION, project):
        raise not_found()
    return project


def _shown(request: web.Request, project: str, settings: dict[str, Any]) -> dict[str, Any]:
    document = {
        "id": project,
        "project_id": project,
        "org_id": ORGANISATION,
        "name": project,
        **dict.fromkeys(ProjectSettings.model_fields),
        **settings,
    }
    fields = request.query.getall("fields", [])
    return {name: value for name, value in document.items() if not fields or name in fields}


ROUTES: Final = [
    Route("GET", _PATH, get, "read"),
    Route("PATCH", _PATH, update, "write"),
    Route("POST", "/v1/feedback/", feedback, "write"),
]
