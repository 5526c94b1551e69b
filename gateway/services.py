"""What the routes work with, composed once in ``app.py``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from aiohttp import web

from gateway.feeds import Feeds
from gateway.health import HealthMonitor
from gateway.keys import KeyCache
from gateway.publisher import Publisher
from gateway.search import Searcher
from gateway.settings import GatewaySettings
from gateway.threads import Call
from infra.postgres import Database


@dataclass(frozen=True, slots=True)
class Services:
    """Everything that a route may need. ``call`` runs the database's methods."""

    settings: GatewaySettings
    database: Database
    call: Call
    keys: KeyCache
    publisher: Publisher
    searcher: Searcher
    feeds: Feeds
    health: HealthMonitor


SERVICES: Final = web.AppKey("services", Services)
