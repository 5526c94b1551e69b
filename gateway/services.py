"""What the routes work with, composed once in ``app.py``."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Final

from aiohttp import web

from gateway.auth.authenticator import Authenticator
from gateway.auth.strangers import Strangers
from gateway.auth.tokens import Tokens
from gateway.configuration import Configuration
from gateway.feeds.readers import Readers
from gateway.health import HealthMonitor
from gateway.search.searcher import Searcher
from gateway.settings import GatewaySettings
from gateway.threads import Call
from gateway.writes.publisher import Publisher
from infra.postgres import Database
from infra.webhooks import WebhookSettings


@dataclass(frozen=True, slots=True)
class Services:
    """Everything that a route may need. ``call`` runs the database's methods; without keys there are no tokens."""

    settings: GatewaySettings
    database: Database
    call: Call
    authenticator: Authenticator
    strangers: Strangers
    tokens: Tokens | None
    publisher: Publisher
    searcher: Searcher
    readers: Readers
    webhooks: WebhookSettings
    health: HealthMonitor
    configuration: Configuration | None
    #: Held while an operator changes settings: one after the other.
    configuring: asyncio.Lock = field(default_factory=asyncio.Lock)


SERVICES: Final = web.AppKey("services", Services)
