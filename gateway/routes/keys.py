"""The project's API keys, for its administrators."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Final, get_args
from uuid import UUID

from aiohttp import web
from pydantic import BaseModel, Field

from gateway.auth.caller import CALLER
from gateway.http.bodies import read_body, validated
from gateway.http.jsonio import json_response
from gateway.http.problems import invalid, not_found
from gateway.http.routing import Route
from gateway.openapi.operation import operation
from gateway.openapi.parameters import Idempotent
from gateway.services import SERVICES
from gateway.shapes.access import Key, KeyMade, KeyRevoked, KeyScope, KeyStatus
from gateway.writes.idempotency import request_id_of
from infra.postgres import ApiKey
from infra.postgres.keys import DEFAULT_SCOPES, IssuedKey
from schemas.times import Expiry, format_instant

_GRACE_MAX_S: Final = 30 * 86_400


class NewKey(BaseModel):
    """An API key to make."""

    name: str = Field(min_length=1, max_length=200)
    scopes: Annotated[list[KeyScope], Field(min_length=1)] = [*DEFAULT_SCOPES]
    expires_at: Expiry | None = None


class KeyRotation(BaseModel):
    """When the old key ends, and when the new one."""

    grace_s: float = Field(86_400, ge=0, le=_GRACE_MAX_S)
    expires_at: Expiry | None = None


@operation(answers={200: list[Key]})
async def list_keys(request: web.Request) -> web.Response:
    """The project's API keys, also ended ones; none with its token."""
    services = request.app[SERVICES]
    keys = await services.call(services.database.credentials.keys, request[CALLER].project)
    return json_response([key_json(key) for key in keys])


@operation(
    body=NewKey,
    example={"name": "dashboard", "scopes": ["read"]},
    headers=Idempotent,
    answers={201: KeyMade},
    problems=(409,),
)
async def create_key(request: web.Request) -> web.Response:
    """Make an API key: its token is in this answer and never again."""
    services = request.app[SERVICES]
    wanted = validated(NewKey, read_body(request))
    _check_expiry(wanted.expires_at)
    issued = await services.call(
        services.database.credentials.issue_key,
        request[CALLER].project,
        wanted.name,
        wanted.scopes,
        wanted.expires_at,
        UUID(request_id_of(request, request[CALLER].project)),
    )
    return json_response(_issued_json(issued), 201)


@operation(
    body=KeyRotation,
    example={"grace_s": 3600},
    body_required=False,
    headers=Idempotent,
    answers={201: KeyMade},
    problems=(404, 409),
)
async def rotate_key(request: web.Request) -> web.Response:
    """Make a key in place of this one, which goes on working for ``grace_s`` seconds (default: a day)."""
    services = request.app[SERVICES]
    wanted = validated(KeyRotation, read_body(request) if request.body_exists else {})
    _check_expiry(wanted.expires_at)
    issued = await services.call(
        services.database.credentials.rotate_key,
        request[CALLER].project,
        _key_id(request),
        wanted.grace_s,
        wanted.expires_at,
        UUID(request_id_of(request, request[CALLER].project)),
    )
    if issued is None:
        raise not_found()
    return json_response(_issued_json(issued), 201)


@operation(answers={200: KeyRevoked}, problems=(404,))
async def revoke_key(request: web.Request) -> web.Response:
    """End a key: every gateway refuses it within seconds."""
    services = request.app[SERVICES]
    id = _key_id(request)
    if not await services.call(services.database.credentials.revoke_key, request[CALLER].project, id):
        raise not_found()
    return json_response({"id": str(id), "status": "revoked"})


def key_json(key: ApiKey) -> Key:
    """A key without its token."""
    return {
        "id": str(key.id),
        "name": key.name,
        "prefix": key.prefix,
        "scopes": sorted(scope for scope in get_args(KeyScope) if scope in key.scopes),
        "status": _status(key),
        "created_at": format_instant(key.created_at),
        "expires_at": format_instant(key.expires_at) if key.expires_at else None,
        "revoked_at": format_instant(key.revoked_at) if key.revoked_at else None,
    }


def _issued_json(issued: IssuedKey) -> KeyMade:
    return {**key_json(issued.key), "key": issued.token}


def _status(key: ApiKey) -> KeyStatus:
    if key.revoked_at is not None:
        return "revoked"
    return "expired" if key.expires_at is not None and key.expires_at <= datetime.now(UTC) else "active"


def _key_id(request: web.Request) -> UUID:
    try:
        return UUID(request.match_info["key_id"])
    except ValueError as error:
        raise invalid("key_id", "must be a UUID") from error


def _check_expiry(expires_at: datetime | None) -> None:
    if expires_at is not None and expires_at <= datetime.now(UTC):
        raise invalid("expires_at", "must lie in the future")


ROUTES: Final = [
    Route("GET", "/v1/keys/", list_keys, "admin"),
    Route("POST", "/v1/keys/", create_key, "admin"),
    Route("POST", "/v1/keys/{key_id}/rotate/", rotate_key, "admin"),
    Route("DELETE", "/v1/keys/{key_id}/", revoke_key, "admin"),
]
