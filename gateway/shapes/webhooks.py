"""Webhooks and their deliveries."""

from __future__ import annotations

from typing_extensions import TypedDict

from gateway.shapes.parts import Count, Id, Time
from schemas.webhooks import DeliveryStatus


class Webhook(TypedDict):
    """A webhook."""

    webhook_id: Id
    name: str
    url: str
    project: str
    event_types: list[str]
    is_active: bool
    created_at: Time
    updated_at: Time
    user_id: str | None
    agent_id: str | None
    app_id: str | None
    run_id: str | None
    disabled_reason: str | None
    failing_since: Time | None
    previous_secret_until: Time | None


class WebhookMade(Webhook):
    """A new webhook, with the secret by which receivers check signatures."""

    secret: str


class WebhookUpdated(Webhook):
    """A webhook after a change."""

    message: str


class Delivery(TypedDict):
    """One event on its way to one webhook."""

    id: int
    event_id: str
    event_type: str
    status: DeliveryStatus
    attempts: Count
    response_status: int | None
    error: str | None
    redelivery: Count
    created_at: Time
    updated_at: Time
    next_attempt_at: Time | None


class DeliveryPage(TypedDict):
    """A page of a webhook's deliveries."""

    count: Count
    results: list[Delivery]
