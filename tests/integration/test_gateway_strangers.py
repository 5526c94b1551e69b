"""Callers without a good credential: counted by their address, and refused when they try too often."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from aiohttp.test_utils import unused_port
from joserfc.jwk import OKPKey

from infra.onnx import Embedder
from infra.postgres import PostgresSettings
from tests.integration.doors import Door, doors
from tests.integration.gateway_world import eventually
from tests.integration.test_gateway_limits import DAY_S, redis

PING = "/v1/ping/"


def wrong() -> str:
    return f"am_{uuid4().hex}"


async def tried(door: Door, token: str | None, path: str = PING, **headers: str) -> tuple[int, dict[str, str]]:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    sent |= {"X-API-Key": token} if token else {}
    async with door.session.get(door.url + path, headers=sent) as response:
        return response.status, dict(response.headers)


async def test_guessing_keys_comes_to_an_end(postgres_settings: PostgresSettings, embedder: Embedder) -> None:
    async with doors(postgres_settings, embedder, rate_address=3, rate_window_s=DAY_S) as [door]:
        known, new = (door.database.create_api_key("ours", name) for name in ("known", "new"))
        assert (await tried(door, known))[0] == 200
        status, headers = await tried(door, wrong())
        assert status == 401
        assert headers["RateLimit-Policy"] == '"address";q=3;w=86400'
        assert headers["RateLimit"].startswith('"address";r=2;t=')
        # A path that is not there is no way around it, nor is having no credential at all.
        assert (await tried(door, None))[0] == 401
        assert (await tried(door, wrong(), "/nowhere"))[0] == 401
        for token in (wrong(), None, new):
            status, headers = await tried(door, token)
            assert status == 429
            assert 1 <= int(headers["Retry-After"]) <= DAY_S
            assert headers["RateLimit"].startswith('"address";r=0;t=')
        assert (await door.answer("GET", PING, wrong()))[1]["code"] == "rate_limited"
        # Who is known here goes on, and so does whoever looks at the gateway's health.
        assert (await tried(door, known))[0] == 200
        assert (await tried(door, None, "/health/live"))[0] == 200


async def test_a_key_that_was_good_is_a_strangers_when_it_ends(
    postgres_settings: PostgresSettings, embedder: Embedder
) -> None:
    async with doors(postgres_settings, embedder, rate_address=2, rate_window_s=DAY_S) as [door]:
        token = door.database.create_api_key("ours", "x")
        assert (await tried(door, token))[0] == 200
        [key] = door.database.credentials.keys("ours")
        door.database.credentials.revoke_key("ours", key.id)

        async def status(wanted: int) -> bool:
            return (await tried(door, token))[0] == wanted

        await eventually(lambda: status(401))
        await eventually(lambda: status(429))


async def test_the_wait_that_was_said_is_enough(postgres_settings: PostgresSettings, embedder: Embedder) -> None:
    async with doors(postgres_settings, embedder, rate_address=1, rate_window_s=1) as [door]:
        token = door.database.create_api_key("ours", "x")

        async def status(sent: str, wanted: int) -> bool:
            return (await tried(door, sent))[0] == wanted

        await eventually(lambda: status(wrong(), 429))
        await eventually(lambda: status(token, 200))


async def test_behind_a_proxy_each_caller_has_an_address(
    postgres_settings: PostgresSettings, embedder: Embedder, caplog: pytest.LogCaptureFixture
) -> None:
    limits = {"rate_address": 1, "rate_window_s": DAY_S}
    async with doors(postgres_settings, embedder, trusted_proxies="127.0.0.0/8", **limits) as [door]:
        one, two = {"X_Forwarded_For": "203.0.113.1"}, {"X_Forwarded_For": "203.0.113.2"}
        # What the caller itself wrote into the header stands on the left, and counts for nothing.
        forged = {"X_Forwarded_For": "198.51.100.7, 203.0.113.1"}
        assert [(await tried(door, wrong(), **at))[0] for at in (one, one, forged, two)] == [401, 429, 429, 401]
        assert "X-Forwarded-For" not in caplog.text
    async with doors(postgres_settings, embedder, **limits) as [door]:
        assert [(await tried(door, wrong(), **at))[0] for at in (one, two)] == [401, 429]
        assert caplog.text.count("sends X-Forwarded-For") == 1


async def test_gateways_count_strangers_together_in_redis_and_alone_without(
    postgres_settings: PostgresSettings, embedder: Embedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = unused_port()
    limits: dict[str, Any] = {
        "rate_address": 3,
        "rate_window_s": DAY_S,
        "redis_url": f"redis://127.0.0.1:{port}/0",
    }
    async with redis(port, monkeypatch) as server, doors(postgres_settings, embedder, 2, **limits) as [one, two]:
        statuses = [(await tried(door, wrong()))[0] for door in (one, two) * 3]
        assert statuses == [401] * 3 + [429] * 3
        server.kill()
        await server.wait()
        statuses = [(await tried(one, wrong()))[0] for _ in range(5)]
        assert statuses == [401] * 3 + [429] * 2


def with_tokens(path: Path) -> dict[str, Any]:
    signing = OKPKey.generate_key("Ed25519", {"kid": "k1"})
    (path / "keys.json").write_text(json.dumps({"keys": [signing.as_dict(private=True)]}))
    return {"token_keys_file": path / "keys.json", "rate_address": 2, "rate_window_s": DAY_S}


async def test_tokens_of_ours_are_not_held_up_by_others(
    postgres_settings: PostgresSettings, embedder: Embedder, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with doors(postgres_settings, embedder, 2, **with_tokens(tmp_path)) as [one, two]:
        key = one.database.create_api_key("ours", "x")
        _, pair = await one.answer("POST", "/v1/tokens/", key)
        for _ in range(3):
            for door in (one, two):
                await tried(door, wrong())
        # Neither gateway has been called with this token, and the other has not even made it.
        assert [(await tried(door, pair["access_token"]))[0] for door in (two, one)] == [200, 200]
        status, pair = await two.answer(
            "POST", "/v1/tokens/refresh/", body={"refresh_token": pair["refresh_token"]}
        )
        assert status == 200
        assert (await tried(one, pair["access_token"]))[0] == 200
        # Others are refused as before: a key not met here, a signature that is not ours, a token of no login.
        head, claims, _ = pair["access_token"].split(".")
        for token in (two.database.create_api_key("ours", "new"), f"{head}.{claims}.{'A' * 86}"):
            assert (await tried(two, token))[0] == 429
        body = {"refresh_token": pair["refresh_token"]}
        assert (await one.answer("POST", "/v1/tokens/revoke/", body=body))[0] == 200
        # One whose login has ended is looked up once.
        for _ in range(3):
            assert (await one.answer("POST", "/v1/tokens/refresh/", body=body))[0] == 429
        assert caplog.text.count("was used again, or its login has ended") == 1


async def test_refresh_tokens_cannot_be_guessed_for_ever(
    postgres_settings: PostgresSettings, embedder: Embedder, tmp_path: Path
) -> None:
    async with doors(postgres_settings, embedder, **with_tokens(tmp_path)) as [door]:
        for path in ("/v1/tokens/refresh/", "/v1/tokens/revoke/"):
            assert (await door.answer("POST", path, body={"refresh_token": "a.b.c"}))[0] == 401
        for path in ("/v1/tokens/refresh/", "/v1/tokens/revoke/"):
            assert (await door.answer("POST", path, body={"refresh_token": "a.b.c"}))[0] == 429
