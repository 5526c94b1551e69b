"""The OpenAPI document: whole, valid, and about every route."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate

from gateway.http.routing import Route
from gateway.openapi.document import openapi_document
from gateway.openapi.operation import operation_of
from gateway.routes import ALL
from gateway.search.bodies import Filters, TextOperators, TimeOperators, ValueOperators
from gateway.search.filters import ALIASES, parse_filter
from schemas.filters import Operator

DOCUMENT = openapi_document(ALL)
OPERATIONS = {(method, path): one for path, item in DOCUMENT["paths"].items() for method, one in item.items()}


@pytest.mark.parametrize("route", ALL, ids=lambda route: f"{route.method} {route.path}")
def test_every_route_is_declared(route: Route) -> None:
    assert operation_of(route.handler)
    described = OPERATIONS[route.method.lower(), route.path]
    assert described["summary"]
    scopes = {scope for scheme in described["security"] for names in scheme.values() for scope in names}
    assert bool(described["security"]) is (route.scope is not None)
    assert scopes == set(route.scopes)
    in_path = {one["name"] for one in described["parameters"] if one["in"] == "path"}
    assert in_path == set(re.findall(r"{(\w+)}", route.path))


def test_a_handler_without_a_declaration_is_refused() -> None:
    async def handler(_: Any) -> Any: ...

    with pytest.raises(LookupError, match="handler has no @operation"):
        openapi_document([Route("GET", "/x", handler, None)])


def test_the_document_is_valid_openapi() -> None:
    validate(DOCUMENT)
    assert len({one["operationId"] for one in OPERATIONS.values()}) == len(ALL)


def nodes(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            yield from nodes(one)


def test_every_reference_leads_somewhere() -> None:
    for node in nodes(DOCUMENT):
        if isinstance(reference := node.get("$ref"), str):
            target: Any = DOCUMENT
            for part in reference.removeprefix("#/").split("/"):
                target = target[part]


def test_every_schema_is_used() -> None:
    used = {node["$ref"].rpartition("/")[2] for node in nodes(DOCUMENT) if isinstance(node.get("$ref"), str)}
    for kind in ("schemas", "responses", "headers"):
        assert DOCUMENT["components"][kind].keys() <= used


def test_every_body_has_an_example_that_it_takes() -> None:
    for described in OPERATIONS.values():
        if "requestBody" in described:
            content = described["requestBody"]["content"]["application/json"]
            validator({"allOf": [content["schema"]]}).validate(content["example"])


def test_examples_are_true() -> None:
    found = 0
    for node in nodes(DOCUMENT):
        if isinstance(examples := node.get("examples"), list) and ("type" in node or "anyOf" in node):
            for example in examples:
                validator(node).validate(example)
                found += 1
    assert found >= 5


def validator(schema: dict[str, Any]) -> Draft202012Validator:
    return Draft202012Validator({**schema, "components": DOCUMENT["components"]})


def names(model: Any) -> set[str]:
    """The names of a typed dictionary on the wire."""
    return {name.removesuffix("_") for name in model.__annotations__}


def test_filters_are_those_that_are_read() -> None:
    for name in names(Filters) - {"AND", "OR", "NOT", "memory_ids", "metadata"}:
        is_time = name in ("created_at", "updated_at", "expiration_date")
        operators = names(TimeOperators if is_time else TextOperators)
        operand = "2030-01-31" if is_time else "x"
        for operator in operators:
            parse_filter({name: {operator: [operand] if operator in ("in", "nin") else operand}}, "filters")
    assert set(ALIASES.values()) <= names(Filters)
    spelled = {"eq", "ne", "in", "nin", *(one.value for one in Operator if one is not Operator.PRESENT)}
    assert names(TextOperators) == names(ValueOperators) == spelled
