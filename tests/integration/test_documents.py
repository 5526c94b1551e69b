"""The documents and pages by which a gateway describes itself."""

from __future__ import annotations

import json
import re
from pathlib import Path

from openapi_spec_validator import validate

from gateway.openapi.assets import ASSETS
from infra.onnx import Embedder
from infra.postgres import PostgresSettings
from infra.postgres.keys import SCOPES
from schemas.documents import GENERATED
from tests.integration.doors import doors

PATHS = ["/openapi.json", "/asyncapi.json", "/docs", "/docs/events", *(f"/docs/assets/{name}" for name in ASSETS)]


async def test_documents_are_served_as_they_are_committed(
    postgres_settings: PostgresSettings, embedder: Embedder, repository: Path
) -> None:
    async with doors(postgres_settings, embedder) as [door]:
        status, openapi = await door.answer("GET", "/openapi.json")
        assert (status, openapi) == (200, json.loads((repository / "docs" / "openapi.json").read_text()))
        validate(openapi)
        status, asyncapi = await door.answer("GET", "/asyncapi.json/")
        assert (status, asyncapi) == (200, json.loads((GENERATED / "asyncapi.json").read_text()))


async def test_pages_take_all_they_need_from_the_gateway(
    postgres_settings: PostgresSettings, embedder: Embedder
) -> None:
    async with doors(postgres_settings, embedder) as [door]:
        for path in ("/docs", "/docs/", "/docs/events"):
            async with door.session.get(door.url + path) as response:
                page = await response.text()
                policy = response.headers["Content-Security-Policy"]
                assert (response.status, response.content_type) == (200, "text/html")
            # What is not 'self' would be an address of another.
            assert "script-src 'self';" in policy
            assert "default-src 'none';" in policy
            assert "//" not in policy + re.sub(r"<!doctype.*?>", "", page)
            assert "<script>" not in page
            for wanted in re.findall(r'(?:src|href)="(/[^"]+)"', page):
                async with door.session.get(door.url + wanted) as response:
                    assert response.status == 200, wanted
                    assert response.headers["X-Content-Type-Options"] == "nosniff"
                    assert response.content_type != "application/octet-stream"
                    assert len(await response.read()) > 100


async def test_an_asset_is_sent_again_only_when_it_changed(
    postgres_settings: PostgresSettings, embedder: Embedder
) -> None:
    async with doors(postgres_settings, embedder) as [door]:
        url = f"{door.url}/docs/assets/swagger-ui.js"
        async with door.session.get(url) as response:
            tag = response.headers["ETag"]
        async with door.session.get(url, headers={"If-None-Match": tag}) as response:
            assert (response.status, await response.read()) == (304, b"")
        for other in ("nothing.js", "..%2Fdocument.py", "http.html"):
            assert (await door.answer("GET", f"/docs/assets/{other}"))[0] == 404


async def test_documents_can_be_closed(postgres_settings: PostgresSettings, embedder: Embedder) -> None:
    async with doors(postgres_settings, embedder, documents_open=False) as [door]:
        key = door.database.create_api_key("ours", "test", SCOPES)
        for path in PATHS:
            assert (await door.answer("GET", path))[0] == 401
            headers = {"Authorization": f"Token {key}"}
            async with door.session.get(door.url + path, headers=headers) as response:
                assert response.status == 200
        _, document = await door.answer("GET", "/openapi.json", key)
        assert document["paths"]["/docs"]["get"]["security"]
