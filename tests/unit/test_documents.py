from __future__ import annotations

import json
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from jsonschema import Draft202012Validator, FormatChecker
from pydantic import ValidationError

from schemas.documents import GENERATED, documents, stale, write
from schemas.events import EventBody
from schemas.requests import MemoryRequest
from tests.unit.schemas_strategies import damaged_requests, requests

REQUEST = Draft202012Validator(documents()["memory-request.schema.json"], format_checker=FormatChecker(["uuid"]))
EVENT = Draft202012Validator(documents()["memory-event.schema.json"])
BARE_ADD = {"request_id": "r", "op": "add", "user_id": "a", "text": "t"}


def model_takes(document: Any) -> bool:
    try:
        MemoryRequest.model_validate(document)
    except ValidationError:
        return False
    return True


def test_documents_are_up_to_date() -> None:
    assert not stale(), "run python -m schemas.documents and commit the result"


def test_check_reports_what_is_stale_and_write_repairs_it(tmp_path: Path) -> None:
    write(tmp_path)
    assert not stale(tmp_path)
    (tmp_path / "memory-event.schema.json").unlink()
    (tmp_path / "asyncapi.json").write_text("{}")
    (tmp_path / "old.json").write_text("{}")
    assert [path.name for path in stale(tmp_path)] == ["asyncapi.json", "memory-event.schema.json", "old.json"]
    write(tmp_path)
    assert not stale(tmp_path)


def test_command_checks() -> None:
    done = subprocess.run([sys.executable, "-m", "schemas.documents", "--check"], check=False, capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize("name", ["memory-request.schema.json", "memory-event.schema.json"])
def test_json_schemas_are_json_schemas(name: str) -> None:
    Draft202012Validator.check_schema(json.loads((GENERATED / name).read_text()))


@given(requests)
def test_schema_takes_what_the_model_takes(document: dict[str, Any]) -> None:
    assert model_takes(document)
    REQUEST.validate(orjson.loads(orjson.dumps(document)))


@given(damaged_requests())
def test_schema_and_model_agree_on_damaged_requests(document: dict[str, Any]) -> None:
    document = orjson.loads(orjson.dumps(document))
    assert REQUEST.is_valid(document) == model_takes(document)


@pytest.mark.parametrize(
    "document",
    [
        BARE_ADD | {"schema_version": 2},
        BARE_ADD | {"schema_version": True},
        BARE_ADD | {"infer": 1},
        BARE_ADD | {"timestamp": "1712121200000"},
        BARE_ADD | {"timestamp": 1_712_121_200_000},
        BARE_ADD | {"text": None},
        BARE_ADD | {"user_id": None},
        BARE_ADD | {"user_id": "x" * 257},
        BARE_ADD | {"vector": ["1"]},
        {"request_id": "r", "op": "add", "user_id": "a", "messages": []},
        {"request_id": "r", "op": "add", "user_id": "a", "messages": [{"content": "a"}] * 1001},
        {"request_id": "r", "op": "add", "user_id": "a", "messages": [{"content": "a"}] * 2, "vector": [1]},
        {"request_id": "r", "op": "update", "memory_id": "not-an-id", "text": "t"},
        {"request_id": "r", "op": "erase", "user_id": "a"},
        ["not", "an", "object"],
        None,
    ],
)
def test_schema_and_model_refuse_alike(document: Any) -> None:
    assert not model_takes(document)
    assert not REQUEST.is_valid(document)


def _references(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
        return own + [found for item in value.values() for found in _references(item)]
    return [found for item in value for found in _references(item)] if isinstance(value, list) else []


def test_asyncapi_is_whole() -> None:
    document = documents()["asyncapi.json"]
    assert document["asyncapi"] == "3.0.0"
    assert set(document["channels"]) == {"memory-requests", "memory-events", "memory-dlq"}
    for reference in _references(document):
        target: Any = document
        for part in reference.removeprefix("#/").split("/"):
            target = target[part]
    for schema in document["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)


def test_events_fit_their_schema_headers_and_model() -> None:
    from schemas.headers import EventHeaders
    from tests.unit.schemas_samples import EVENTS

    for event in EVENTS:
        body = orjson.loads(event.body)
        EVENT.validate(body)
        assert EventBody.model_validate(body).count >= 1
        headers = {name: value.decode() for name, value in event.headers(traceparent="00-a-b-01")}
        names = {field.alias or name for name, field in EventHeaders.model_fields.items()}
        assert names - {"ce_subject"} <= set(headers) <= names
        assert EventHeaders.model_validate(headers).ce_time == datetime.fromisoformat(headers["ce_time"])
