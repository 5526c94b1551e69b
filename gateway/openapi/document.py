"""The OpenAPI document: made from the routes, what their handlers declare, and the models named there."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Sequence
from http import HTTPStatus
from importlib.metadata import version
from typing import Any, Final

from pydantic import TypeAdapter
from pydantic.json_schema import JsonSchemaMode

from gateway.http.routing import Route
from gateway.openapi.operation import Operation, Text, operation_of
from gateway.openapi.parameters import REFERENCE, PathParameters, Untitled, parameters
from gateway.openapi.problems import ALWAYS, WITH_CREDENTIAL, Problem, problem_responses, response_name

_JSON: Final = "application/json"
_DESCRIPTION: Final = """\
A memory for AI agents, over HTTP. mem0's clients work here unmodified.

Paths work with and without the slash at their end. A credential belongs to one project and sees nothing of others.
Fields that are unknown are ignored; those that mem0 has and this gateway has not are a 400 that names them, unless
they are empty. Send an `X-Request-ID` of your own to find a call in the logs, and a `traceparent` to follow it on.
"""
_SECURITY_SCHEMES: Final = {
    "token": {
        "type": "apiKey",
        "in": "header",
        "name": "Authorization",
        "description": "An API key, as mem0's clients send it: `Token <key>`.",
    },
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "An access token of `POST /v1/tokens/`, one of the OpenID Connect issuer that the operator "
        "named, or an API key.",
    },
    "key": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "An API key."},
}
_HEADERS: Final = {
    "X-Request-ID": ("What the gateway's log knows the call by.", {"type": "string"}, True),
    "ETag": ("The memory's version, for `If-Match`.", {"type": "string"}, True),
    "Retry-After": ("When to try again, in seconds.", {"type": "integer"}, False),
    "WWW-Authenticate": ("How to authenticate.", {"type": "string"}, False),
    "RateLimit-Policy": ("The rate limits that the call counts for.", {"type": "string"}, False),
    "RateLimit": ("How many calls are left under each.", {"type": "string"}, False),
}


def openapi_document(routes: Sequence[Route]) -> dict[str, Any]:
    """The whole document, as JSON values. Raises ``LookupError`` for what is not declared."""
    wanted: list[tuple[Any, JsonSchemaMode, TypeAdapter[Any]]] = [(Problem, "serialization", TypeAdapter(Problem))]
    seen: set[Any] = {Problem}
    for route in routes:
        declared = operation_of(route.handler)
        answers = [model for model in declared.answers.values() if model is not None]
        for model, mode in [(declared.body, "validation"), *((answer, "serialization") for answer in answers)]:
            if model is not None and not isinstance(model, Text) and model not in seen:
                seen.add(model)
                wanted.append((model, mode, TypeAdapter(model)))  # type: ignore[arg-type]
    found, definitions = TypeAdapter.json_schemas(wanted, ref_template=REFERENCE, schema_generator=Untitled)
    schemas = {model: schema for (model, _), schema in found.items()}
    components = dict(definitions.get("$defs", {}))
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        described, referred = _operation(route, operation_of(route.handler), schemas)
        paths.setdefault(route.path, {})[route.method.lower()] = described
        components |= referred
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "AgentMem",
            "version": version("agentmem"),
            "description": _DESCRIPTION,
        },
        "servers": [{"url": "/", "description": "Where this document came from."}],
        "tags": [{"name": name, "description": about} for name, about in _tags(routes).items()],
        "paths": paths,
        "components": {
            "schemas": dict(sorted(components.items())),
            "responses": problem_responses(schemas[Problem]),
            "headers": {
                name: {"description": about, "schema": schema, "required": always}
                for name, (about, schema, always) in _HEADERS.items()
            },
            "securitySchemes": _SECURITY_SCHEMES,
        },
    }


def _operation(
    route: Route, declared: Operation, schemas: dict[Any, dict[str, Any]]
) -> tuple[dict[str, Any], dict[str, Any]]:
    text = inspect.getdoc(route.handler)
    if not text:
        raise LookupError(f"the handler of {route.method} {route.path} has no docstring")
    text = " ".join(text.replace("``", "`").split())
    names = set(re.findall(r"{(\w+)}", route.path))
    if unknown := names - PathParameters.model_fields.keys():
        raise LookupError(f"{route.path}: name {', '.join(unknown)} in PathParameters")
    given, referred = parameters(PathParameters, "path", names)
    for model, where in ((declared.query, "query"), (declared.headers, "header")):
        if model is not None:
            more, definitions = parameters(model, where)  # type: ignore[arg-type]
            given, referred = given + more, referred | definitions
    document: dict[str, Any] = {
        "tags": [_tag(route)],
        "operationId": _id(route),
        "summary": re.split(r"(?<=\.) |: ", text)[0].rstrip(".").replace("`", ""),
        "description": text + _unsupported(declared),
        "parameters": given,
        "responses": _responses(route, declared, schemas),
        "security": [],
    }
    if declared.body is not None:
        content = {_JSON: {"schema": schemas[declared.body], "example": declared.example}}
        document["requestBody"] = {"required": declared.body_required, "content": content}
    if route.scope is not None:
        # Alternatives: one scheme, and one of the scopes where there are any.
        scopes = [[scope] for scope in route.scopes] or [[]]
        document["security"] = [{scheme: one} for scheme in _SECURITY_SCHEMES for one in scopes]
    return document, referred


def _unsupported(declared: Operation) -> str:
    names = ", ".join(f"`{name}`" for name in declared.unsupported)
    return f" Not supported, so a 400 unless empty or false: {names}." if names else ""


def _responses(route: Route, declared: Operation, schemas: dict[Any, dict[str, Any]]) -> dict[str, Any]:
    problems = {*ALWAYS, *declared.problems, *(WITH_CREDENTIAL if route.scope is not None else ())}
    responses = {
        str(status): {"$ref": f"#/components/responses/{response_name(status)}"} for status in sorted(problems)
    }
    for status, answer in sorted(declared.answers.items()):
        headers = ["X-Request-ID", *declared.answer_headers]
        headers += ["RateLimit-Policy", "RateLimit"] if route.scope is not None else []
        response: dict[str, Any] = {
            "description": _about(answer, status),
            "headers": {name: {"$ref": f"#/components/headers/{name}"} for name in headers},
        }
        if isinstance(answer, Text):
            response["content"] = {kind: {"schema": {"type": "string"}} for kind in answer.media_types}
        elif answer is not None:
            response["content"] = {_JSON: {"schema": schemas[answer]}}
        if status in problems:  # a status that has an answer of its own and a problem
            response["content"]["application/problem+json"] = {"schema": schemas[Problem]}
        responses[str(status)] = response
    return dict(sorted(responses.items()))


def _about(answer: Any, status: int) -> str:
    text = inspect.getdoc(answer) if isinstance(answer, type) else None
    return " ".join(text.replace("``", "`").split()) if text else HTTPStatus(status).phrase


def _id(route: Route) -> str:
    words = [f"by_{part[1:-1]}" if part.startswith("{") else part for part in route.path.strip("/").split("/")]
    return re.sub(r"\W+", "_", "_".join([route.method.lower(), *words])).replace("__", "_")


def _tag(route: Route) -> str:
    return route.handler.__module__.rpartition(".")[2]


def _tags(routes: Sequence[Route]) -> dict[str, str]:
    """Each module with operations is a tag, described by its docstring."""
    modules = {_tag(route): sys.modules[route.handler.__module__] for route in routes}
    return {name: (inspect.getdoc(module) or "").partition("\n\n")[0] for name, module in modules.items()}
