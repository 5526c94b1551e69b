"""The settings of this gateway, for its operator."""

from __future__ import annotations

from collections.abc import Sequence
from socket import gethostname
from typing import Any, Final

from aiohttp import web
from pydantic import JsonValue, RootModel

from gateway.auth.caller import CALLER
from gateway.configuration import Change, ChangeRefusedError, Configuration
from gateway.http.bodies import read_object
from gateway.http.jsonio import json_response
from gateway.http.problems import ApiError
from gateway.http.routing import Route
from gateway.openapi.operation import operation
from gateway.services import SERVICES
from gateway.shapes import configuration as shapes
from infra.postgres.audit import AuditEntry


class NewSettings(RootModel[dict[str, JsonValue]]):
    """Live settings by their dotted names; null takes a value back that was given like this."""


@operation(answers={200: shapes.SettingsInForce}, problems=(501,))
async def get(request: web.Request) -> web.Response:
    """This gateway's settings in force, each with its source, secrets masked; for the operator's project only."""
    return json_response({"settings": _shown(_configuration(request))})


@operation(
    body=NewSettings, example={"log.level": "debug"}, answers={200: shapes.SettingsChanged}, problems=(501,)
)
async def change(request: web.Request) -> web.Response:
    """Set live settings of this gateway until it ends, all or none; null takes one back."""
    configuration, services = _configuration(request), request.app[SERVICES]
    caller = request[CALLER]
    who = f"{caller.name}, {caller.id} of {caller.project}"
    values = read_object(request)
    async with services.configuring:
        try:
            changed = _documents(configuration.planned(values))
            # Written down first: without an entry nothing changes. Who dies in between has no settings any more.
            entry = AuditEntry(
                caller.project,
                "configure",
                f"gateway/{gethostname()}:{services.settings.port}",
                {"asked": sorted(values), "changed": changed},
                who,
            )
            await services.call(services.database.audit.record, entry, project=caller.project)
            changed = _documents(configuration.change(values, who))
        except ChangeRefusedError as error:
            raise ApiError(400, error.code, str(error)) from error
    message = f"{len(changed)} settings changed in this gateway, until it ends."
    return json_response({"message": message, "changed": changed})


def _documents(changes: Sequence[Change]) -> dict[str, Any]:
    return {change.name: {"old": change.old, "new": change.new} for change in changes}


def _configuration(request: web.Request) -> Configuration:
    services = request.app[SERVICES]
    if request[CALLER].project != services.settings.operator_project:
        raise ApiError(403, "forbidden", "Settings are for administrators of the operator's project.")
    if services.configuration is None:
        raise ApiError(501, "no_configuration", "This gateway's settings are fixed by the program that runs it.")
    return services.configuration


def _shown(configuration: Configuration) -> dict[str, Any]:
    return {
        one.name: {"value": one.value, "source": one.source, "live": one.live} for one in configuration.shown()
    }


ROUTES: Final = [
    Route("GET", "/configure", get, "admin"),
    Route("POST", "/configure", change, "admin"),
]
