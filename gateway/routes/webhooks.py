"""A project's webhooks, by the calls of mem0's clients, and the rotation of their secrets."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Final
from uuid import UUID

from aiohttp import web
from pydantic import BaseModel, Field

from gateway.auth.caller import CALLER, require_scope
from gateway.http.bodies import read_body, validated
from gateway.http.jsonio import json_response
from gateway.http.problems import ApiError, invalid, not_found
from gateway.http.routing import Route
from gateway.openapi.operation import operation
from gateway.openapi.parameters import Idempotent
from gateway.services import SERVICES
from gateway.shapes import webhooks as shapes
from gateway.shapes.parts import Message
from gateway.writes.idempotency import request_id_of
from infra.webhooks import check_url, new_secret
from schemas.problems import TooManyError
from schemas.requests import EntityId
from schemas.scope import ENTITY_FIELDS
from schemas.times import format_instant
from schemas.webhooks import DEFAULT_EVENTS, EVENT_NAMES, Webhook

_WEBHOOKS_MAX: Final = 20
_GRACE_MAX_S: Final = 30 * 86_400
#: mem0 has categories, which we have not.
_UNSUPPORTED_EVENTS: Final = ("memory_categorize", "memory:categorize")

_Name = Annotated[str, Field(min_length=1, max_length=200)]


class WebhookChange(BaseModel):
    """What to change."""

    name: _Name | None = None
    url: str | None = None
    event_types: Annotated[list[str], Field(min_length=1, max_length=len(EVENT_NAMES))] | None = None
    is_active: Annotated[bool, Field(strict=True)] | None = None
    user_id: EntityId | None = None
    agent_id: EntityId | None = None
    app_id: EntityId | None = None
    run_id: EntityId | None = None


class NewWebhook(WebhookChange):
    """A webhook to make."""

    name: _Name
    url: str


class SecretRotation(BaseModel):
    """How long the secret until now stays good."""

    grace_s: float = Field(
        86_400, ge=0, le=_GRACE_MAX_S, description="For how many seconds posts are signed with both secrets."
    )


@operation(answers={200: list[shapes.Webhook]}, problems=(404,))
async def list_webhooks(request: web.Request) -> web.Response:
    """The project's webhooks, oldest first, without their secrets."""
    services = request.app[SERVICES]
    found = await services.call(services.database.webhooks.all, _project(request))
    return json_response([webhook_json(webhook) for webhook in found])


@operation(
    body=NewWebhook,
    example={"name": "mine", "url": "https://example.com/hook"},
    headers=Idempotent,
    answers={200: shapes.WebhookMade},
    problems=(404, 409),
)
async def create_webhook(request: web.Request) -> web.Response:
    """Make a webhook. Its secret, by which receivers check signatures, is in this answer and never again."""
    services = request.app[SERVICES]
    require_scope(request, "read")  # a webhook is told what the memories hold
    project = _project(request)
    wanted = validated(NewWebhook, read_body(request))
    changes = _checked(request, wanted)
    try:
        made = await services.call(
            services.database.webhooks.create,
            project,
            name=wanted.name,
            url=changes["url"],
            event_types=wanted.event_types or DEFAULT_EVENTS,
            secret=new_secret(),
            ids={field: changes[field] for field in ENTITY_FIELDS if field in changes},
            is_active=wanted.is_active is not False,
            id=UUID(request_id_of(request, project)),
            most=_WEBHOOKS_MAX,
        )
    except TooManyError as error:
        detail = f"A project has {_WEBHOOKS_MAX} webhooks at most: delete one."
        raise ApiError(409, "too_many_webhooks", detail) from error
    return json_response({**webhook_json(made), "secret": made.secret})


@operation(answers={200: shapes.Webhook}, problems=(404,))
async def get_webhook(request: web.Request) -> web.Response:
    """One webhook, without its secret."""
    return json_response(webhook_json(await find_webhook(request)))


@operation(body=WebhookChange, example={"is_active": True}, answers={200: shapes.WebhookUpdated}, problems=(404,))
async def update_webhook(request: web.Request) -> web.Response:
    """Change what is named. `is_active: true` gives a disabled webhook a new start; a null id is any."""
    services = request.app[SERVICES]
    require_scope(request, "read")  # a webhook is told what the memories hold
    body = read_body(request, keep=ENTITY_FIELDS)
    changes = _checked(request, validated(WebhookChange, body))
    changed = await services.call(
        services.database.webhooks.change, request[CALLER].project, webhook_id_of(request), changes
    )
    if changed is None:
        raise not_found()
    return json_response({**webhook_json(changed), "message": "Webhook updated successfully"})


@operation(answers={200: Message}, problems=(404,))
async def delete_webhook(request: web.Request) -> web.Response:
    """Remove a webhook with its log: nothing more is delivered to it."""
    services = request.app[SERVICES]
    webhook_id = webhook_id_of(request)
    if not await services.call(services.database.webhooks.remove, request[CALLER].project, webhook_id):
        raise not_found()
    return json_response({"message": "Webhook deleted successfully"})


@operation(
    body=SecretRotation,
    example={"grace_s": 3600},
    body_required=False,
    answers={200: shapes.WebhookMade},
    problems=(404, 409),
)
async def rotate_secret(request: web.Request) -> web.Response:
    """Make a new secret, which is in this answer and never again. For `grace_s` posts are signed with both."""
    services = request.app[SERVICES]
    require_scope(request, "read")  # a webhook is told what the memories hold
    wanted = validated(SecretRotation, read_body(request) if request.body_exists else {})
    try:
        rotated = await services.call(
            services.database.webhooks.rotate,
            request[CALLER].project,
            webhook_id_of(request),
            new_secret(),
            wanted.grace_s,
        )
    except TooManyError as error:
        detail = "Four earlier secrets are in their grace time: wait for one to end, or end all with grace_s 0."
        raise ApiError(409, "too_many_secrets", detail) from error
    if rotated is None:
        raise not_found()
    return json_response({**webhook_json(rotated), "secret": rotated.secret})


def webhook_json(webhook: Webhook) -> shapes.Webhook:
    """A webhook as mem0's clients know it, and what we know beside."""
    return {
        "webhook_id": str(webhook.id),
        "name": webhook.name,
        "url": webhook.url,
        "project": webhook.project,
        "event_types": list(webhook.event_types),
        "is_active": webhook.is_active,
        "created_at": format_instant(webhook.created_at),
        "updated_at": format_instant(webhook.updated_at),
        "user_id": webhook.ids.get("user_id"),
        "agent_id": webhook.ids.get("agent_id"),
        "app_id": webhook.ids.get("app_id"),
        "run_id": webhook.ids.get("run_id"),
        "disabled_reason": webhook.disabled_reason,
        "failing_since": format_instant(webhook.failing_since) if webhook.failing_since else None,
        "previous_secret_until": _previous_until(webhook),
    }


def _previous_until(webhook: Webhook) -> str | None:
    untils = [until for _, until in webhook.previous_secrets if until > datetime.now(UTC)]
    return format_instant(max(untils)) if untils else None


async def find_webhook(request: web.Request) -> Webhook:
    """The webhook in the path; raises the 404."""
    services = request.app[SERVICES]
    webhook = await services.call(services.database.webhooks.find, request[CALLER].project, webhook_id_of(request))
    if webhook is None:
        raise not_found()
    return webhook


def _checked(request: web.Request, wanted: WebhookChange) -> dict[str, Any]:
    """What is to be set, after the checks that the model cannot make."""
    for name in wanted.event_types or ():
        if name in _UNSUPPORTED_EVENTS:
            raise ApiError(400, "unsupported_field", f"event_types: {name} is not supported.", field="event_types")
        if name not in EVENT_NAMES:
            raise invalid("event_types", f"{name!r} is no event; there are {', '.join(EVENT_NAMES)}")
    if wanted.url is not None:
        try:
            check_url(wanted.url, allow_private=request.app[SERVICES].webhooks.allow_private)
        except ValueError as error:
            raise invalid("url", str(error)) from error
    return wanted.model_dump(exclude_unset=True)


def _project(request: web.Request) -> str:
    """The project in the path, which must be the caller's own: all others are as if they were not there."""
    if request.match_info["project_id"] != request[CALLER].project:
        raise not_found()
    return request[CALLER].project


def webhook_id_of(request: web.Request) -> UUID:
    """The webhook in the path; what is no id is as one that is not there."""
    try:
        return UUID(request.match_info["webhook_id"])
    except ValueError as error:
        raise not_found() from error


ROUTES: Final = [
    Route("GET", "/api/v1/webhooks/projects/{project_id}/", list_webhooks, "read"),
    Route("POST", "/api/v1/webhooks/projects/{project_id}/", create_webhook, "write"),
    Route("GET", "/api/v1/webhooks/{webhook_id}/", get_webhook, "read"),
    Route("PUT", "/api/v1/webhooks/{webhook_id}/", update_webhook, "write"),
    Route("DELETE", "/api/v1/webhooks/{webhook_id}/", delete_webhook, "write"),
    Route("POST", "/api/v1/webhooks/{webhook_id}/secret/rotate/", rotate_secret, "write"),
]
