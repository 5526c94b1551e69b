"""Errors in the document: one response for each status, and which of them every operation has."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field

#: Whatever is called: the body and the connection can be wrong, the gateway too busy, a store away.
ALWAYS: Final = (400, 408, 413, 417, 429, 431, 500, 503, 504)
#: What calls that need a credential add: a bad one, and one that does not allow the call.
WITH_CREDENTIAL: Final = (401, 403)

_MEANINGS: Final = {
    400: "Something in the call is wrong; `code` says what, and `field` where it is one field.",
    401: "There is no credential, or none that is good.",
    403: "The credential does not allow this call.",
    404: "There is nothing with this id in the credential's project.",
    408: "The body did not arrive in time.",
    409: "There are as many of these as there may be.",
    410: "Kafka no longer keeps the events after this cursor.",
    412: "The memory has another version than `If-Match` asks for; nothing was changed.",
    413: "The body or the request that it makes is too large.",
    417: "The header `Expect` says something else than 100-continue.",
    422: "The request was carried out and failed, or its `Idempotency-Key` was used for another one.",
    429: "Too many calls: try again after `Retry-After` seconds.",
    431: "The header of the call is too large.",
    500: "The gateway failed; its log knows the `request_id`.",
    501: "This gateway is set up without it.",
    503: "A component is down, or the gateway is busy: try again after `Retry-After` seconds.",
    504: "The call took too long.",
}
_HEADERS: Final = {401: "WWW-Authenticate", 429: "Retry-After", 503: "Retry-After"}


class Problem(BaseModel):
    """An error, by RFC 9457; ``error`` repeats ``detail`` for those of mem0's clients that look there."""

    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={
            "examples": [
                {
                    "type": "about:blank",
                    "title": "Bad Request",
                    "status": 400,
                    "detail": "filters: name at least one of user_id, agent_id, app_id, run_id.",
                    "error": "filters: name at least one of user_id, agent_id, app_id, run_id.",
                    "code": "entity_required",
                    "request_id": "6b0c6c0e-6a60-4a0a-9a43-2f6f9a6a3b0e",
                    "field": "filters",
                }
            ]
        },
    )

    type: str = Field(description="Always about:blank: `code` tells kinds of errors apart.")
    title: str = Field(description="What the status is called.")
    status: int = Field(ge=400, le=599, description="The HTTP status.")
    detail: str = Field(description="One sentence for a person.")
    error: str = Field(description="The same as detail.")
    code: str = Field(description="A stable name for programs. More may be added.")
    request_id: str = Field(description="What the gateway's log knows the call by.")
    field: str = Field(description="The field or parameter at fault.", default="")
    event_id: str = Field(description="The request that was carried out and failed.", default="")


def response_name(status: int) -> str:
    """What the response of a status is called in the document."""
    return HTTPStatus(status).phrase.replace(" ", "").replace("-", "")


def problem_responses(schema: dict[str, Any]) -> dict[str, Any]:
    """Every response of an error, by its name."""
    return {
        response_name(status): {
            "description": meaning,
            "headers": {
                name: {"$ref": f"#/components/headers/{name}"}
                for name in ("X-Request-ID", *filter(None, [_HEADERS.get(status)]))
            },
            # As application/json to callers that send Mem0-User-ID, as mem0's clients do.
            "content": {kind: {"schema": schema} for kind in ("application/problem+json", "application/json")},
        }
        for status, meaning in _MEANINGS.items()
    }
