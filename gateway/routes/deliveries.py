"""The log of what was delivered to a project's webhooks."""

from __future__ import annotations

from typing import Final

from aiohttp import web
from pydantic import BaseModel, Field

from gateway.auth.caller import CALLER, require_scope
from gateway.http.jsonio import json_response
from gateway.http.problems import ApiError, invalid, not_found
from gateway.http.routing import Route
from gateway.openapi.operation import operation
from gateway.routes.webhooks import find_webhook
from gateway.services import SERVICES
from gateway.shapes import webhooks as shapes
from infra.webhooks.payload import payload
from schemas.events import Event
from schemas.inbound import decode_event
from schemas.problems import NotKeptError
from schemas.times import format_instant
from schemas.webhooks import Delivery, DeliveryStatus

_PAGE_MAX: Final = 100
_OFFSET_MAX: Final = 1_000_000
#: The largest id that a row can have.
_ID_MAX: Final = 2**63 - 1


class DeliveriesQuery(BaseModel):
    """Which deliveries."""

    page: int = Field(1, ge=1, le=_OFFSET_MAX, description="Which page, from 1.")
    page_size: int = Field(20, ge=1, le=_PAGE_MAX, description="How many a page.")


@operation(query=DeliveriesQuery, answers={200: shapes.DeliveryPage}, problems=(404,))
async def list_deliveries(request: web.Request) -> web.Response:
    """A page of a webhook's deliveries, latest first: how far each has come, and what went wrong last."""
    services = request.app[SERVICES]
    webhook = await find_webhook(request)
    page, size = _number(request, "page", 1, _OFFSET_MAX), _number(request, "page_size", 20, _PAGE_MAX)
    offset = min((page - 1) * size, _OFFSET_MAX)
    count, found = await services.call(
        services.database.webhook_log.deliveries, webhook.project, webhook.id, size, offset
    )
    return json_response({"count": count, "results": [delivery_json(delivery) for delivery in found]})


@operation(answers={202: shapes.Delivery}, problems=(404, 409))
async def redeliver(request: web.Request) -> web.Response:
    """Deliver an event of the log again, as a delivery of its own; its body is as the history has it now."""
    services, project = request.app[SERVICES], request[CALLER].project
    require_scope(request, "read")
    webhook = await find_webhook(request)
    log = services.database.webhook_log
    delivery = await services.call(log.delivery, project, webhook.id, _delivery_id(request))
    if delivery is None:
        raise not_found()
    if not webhook.is_active:
        raise ApiError(409, "webhook_inactive", "This webhook is not active: set is_active first.")
    try:
        queued = await services.call(log.redeliver, delivery, project, _body)
    except NotKeptError as error:
        raise ApiError(409, "not_redeliverable", "What this delivery told of is no longer kept.") from error
    if queued is None:
        raise ApiError(409, "delivery_pending", "This event is on its way to this webhook already.")
    return json_response(delivery_json(queued), 202)


def delivery_json(delivery: Delivery) -> shapes.Delivery:
    """A line of the log."""
    is_pending = delivery.status is DeliveryStatus.PENDING
    return {
        "id": delivery.id,
        "event_id": delivery.event_id,
        "event_type": delivery.event_type,
        "status": delivery.status,
        "attempts": delivery.attempts,
        "response_status": delivery.response_status,
        "error": delivery.error,
        "redelivery": delivery.redelivery,
        "created_at": format_instant(delivery.created_at),
        "updated_at": format_instant(delivery.updated_at),
        "next_attempt_at": format_instant(delivery.next_attempt_at) if is_pending else None,
    }


def _body(event: Event) -> str:
    return payload(decode_event(event.key.encode(), event.body, event.headers()))


def _delivery_id(request: web.Request) -> int:
    text = request.match_info["delivery_id"]
    if not (text.isascii() and text.isdigit() and len(text) < 20 and int(text) <= _ID_MAX):
        raise not_found()
    return int(text)


def _number(request: web.Request, name: str, default: int, most: int) -> int:
    text = request.query.get(name, str(default))
    if not (text.isascii() and text.isdigit() and len(text) < 10 and 1 <= int(text) <= most):
        raise invalid(name, f"must be a number from 1 to {most}")
    return int(text)


ROUTES: Final = [
    Route("GET", "/api/v1/webhooks/{webhook_id}/deliveries/", list_deliveries, "read"),
    Route("POST", "/api/v1/webhooks/{webhook_id}/deliveries/{delivery_id}/redeliver/", redeliver, "write"),
]
