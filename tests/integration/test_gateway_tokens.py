"""Logins: tokens instead of the key, refreshed once each, ended when one is used twice; and an outside issuer."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientTimeout, web
from aiohttp.test_utils import TestServer
from joserfc import jwt
from joserfc.jwk import ECKey, Key, OctKey, OKPKey, RSAKey

from gateway.auth import oidc
from gateway.auth.signing import Registry, SigningKeys
from infra.onnx import Embedder
from infra.postgres import PostgresSettings
from tests.integration.doors import Door, doors, forgotten
from tests.integration.gateway_world import eventually

SIGNING = OKPKey.generate_key("Ed25519", {"kid": "k1"})
ANY_ALGORITHM = Registry(algorithms=["HS256", "RS256", "ES256", "EdDSA", "none"])


@pytest.fixture
def keys_file(tmp_path: Path) -> Path:
    path = tmp_path / "keys.json"
    path.write_text(json.dumps({"keys": [SIGNING.as_dict(private=True)]}))
    return path


@pytest.fixture
async def two(
    postgres_settings: PostgresSettings, embedder: Embedder, keys_file: Path
) -> AsyncIterator[list[Door]]:
    async with doors(postgres_settings, embedder, 2, token_keys_file=keys_file) as opened:
        yield opened


async def login(door: Door, project: str = "ours", **body: Any) -> dict[str, Any]:
    key = door.database.create_api_key(project, "app", ("read", "write"))
    status, document = await door.answer("POST", "/v1/tokens/", key, body)
    assert status == 200, document
    return dict(document)


async def refreshed(door: Door, token: str) -> tuple[int, Any]:
    return await door.answer("POST", "/v1/tokens/refresh/", body={"refresh_token": token})


async def test_a_login_opens_every_gateway(two: list[Door]) -> None:
    pair = await login(two[0], scopes=["read"])
    assert (pair["token_type"], pair["expires_in"], pair["scope"]) == ("Bearer", 900, "read")
    for door in two:
        status, ping = await door.answer("GET", "/v1/ping/", pair["access_token"])
        assert (status, ping["project_id"]) == (200, "ours")
        assert await door.ping(pair["refresh_token"]) == 401
    body = {"messages": "x", "user_id": "a"}
    status, problem = await two[0].answer("POST", "/v3/memories/add/", pair["access_token"], body)
    assert (status, problem["code"]) == (403, "forbidden")


async def test_a_login_gets_no_more_than_its_key_has(two: list[Door]) -> None:
    key = two[0].database.create_api_key("ours", "app", ("read",))
    status, problem = await two[0].answer("POST", "/v1/tokens/", key, {"scopes": ["admin"]})
    assert (status, problem["field"]) == (400, "scopes")
    _, pair = await two[0].answer("POST", "/v1/tokens/", key)
    assert pair["scope"] == "read"
    status, _ = await two[0].answer("POST", "/v1/tokens/", pair["access_token"])
    assert status == 403


async def test_a_refresh_token_works_once_and_twice_ends_the_login(two: list[Door]) -> None:
    one, other = two
    first = await login(one)
    status, second = await refreshed(other, first["refresh_token"])
    assert status == 200
    assert [await door.ping(second["access_token"]) for door in two] == [200, 200]
    status, problem = await refreshed(one, first["refresh_token"])
    assert (status, problem["code"]) == (401, "invalid_token")
    # The family is gone: the newest tokens as well, on both gateways.
    assert (await refreshed(one, second["refresh_token"]))[0] == 401
    await forgotten()
    assert [await door.ping(second["access_token"]) for door in two] == [401, 401]


async def test_of_two_who_refresh_at_once_one_wins(two: list[Door]) -> None:
    pair = await login(two[0])
    answers = await asyncio.gather(*(refreshed(door, pair["refresh_token"]) for door in two * 3))
    assert sorted(status for status, _ in answers) == [200, 401, 401, 401, 401, 401]


async def test_a_login_ends_when_it_is_revoked_or_its_key_is(two: list[Door]) -> None:
    one, other = two
    revoked, orphan = await login(one), await login(one, "theirs")
    assert await other.ping(revoked["access_token"]) == await other.ping(orphan["access_token"]) == 200
    status, _ = await one.answer("POST", "/v1/tokens/revoke/", body={"refresh_token": revoked["refresh_token"]})
    assert status == 200
    [key] = one.database.credentials.keys("theirs")
    assert one.database.credentials.revoke_key("theirs", key.id)
    await forgotten()
    for pair in (revoked, orphan):
        assert [await door.ping(pair["access_token"]) for door in two] == [401, 401]
        assert (await refreshed(one, pair["refresh_token"]))[0] == 401


async def test_tokens_that_are_not_ours_or_not_now_are_refused(two: list[Door]) -> None:
    door = two[0]
    pair = await login(door)
    claims = jwt.decode(pair["access_token"], SIGNING, registry=ANY_ALGORITHM).claims
    keys = SigningKeys({"k1": SIGNING})
    assert await door.ping(keys.sign(claims, "at+jwt")) == 200
    for changed in (
        {"exp": int(time.time()) - 60},
        {"aud": "others"},
        {"project": "theirs"},
        {"sid": "1"},
        {"scope": 7},
        {"scope": "admin"},
    ):
        status = await door.ping(keys.sign({**claims, **changed}, "at+jwt"))
        assert status == (403 if changed == {"scope": "admin"} else 401), changed
    stranger = SigningKeys({"k1": OKPKey.generate_key("Ed25519", {"kid": "k1"})})
    none = jwt.encode(
        {"alg": "none", "kid": "k1", "typ": "at+jwt"}, claims, OctKey.generate_key(), registry=ANY_ALGORITHM
    )
    for token in (stranger.sign(claims, "at+jwt"), none, none.rpartition(".")[0] + "."):
        assert await door.ping(token) == 401


async def test_public_keys_are_there_for_others(two: list[Door]) -> None:
    status, document = await two[0].answer("GET", "/.well-known/jwks.json")
    assert status == 200
    assert [key["kid"] for key in document["keys"]] == ["k1"]
    assert "d" not in document["keys"][0]


async def test_without_signing_keys_there_are_no_tokens(
    postgres_settings: PostgresSettings, embedder: Embedder
) -> None:
    async with doors(postgres_settings, embedder) as [door]:
        key = door.database.create_api_key("ours", "app")
        status, problem = await door.answer("POST", "/v1/tokens/", key)
        assert (status, problem["code"]) == (501, "no_tokens")
        assert await door.answer("GET", "/.well-known/jwks.json") == (200, {"keys": []})


class Issuer:
    """An OpenID Connect issuer of the test's own."""

    def __init__(self) -> None:
        self.keys: list[Key] = [RSAKey.generate_key(2048, {"kid": "r1"})]
        self.published: Any = None
        self.fetched = 0
        self.url = ""
        self.down = False
        #: While it is not set, who asks for the keys gets no answer.
        self.answers = asyncio.Event()
        self.answers.set()

    def token(self, key: Key | None = None, alg: str = "RS256", header: Any = None, **claims: Any) -> str:
        key = key or self.keys[0]
        document = {
            "iss": self.url,
            "aud": "agentmem-api",
            "sub": "user-1",
            "exp": int(time.time()) + 600,
            "agentmem_project": "ours",
            "scope": "openid agentmem:read",
            **claims,
        }
        return jwt.encode({"alg": alg, "kid": key.kid, **(header or {})}, document, key, registry=ANY_ALGORITHM)

    async def discovery(self, _: web.Request) -> web.Response:
        return web.json_response(
            {"issuer": self.url, "jwks_uri": f"{self.url}/keys"}, status=500 if self.down else 200
        )

    async def jwks(self, _: web.Request) -> web.Response:
        self.fetched += 1
        await self.answers.wait()
        good = [key.as_dict(private=False) for key in self.keys]
        return web.json_response({"keys": good} if self.published is None else self.published)


@asynccontextmanager
async def issuing() -> AsyncIterator[Issuer]:
    issuer = Issuer()
    app = web.Application()
    app.router.add_get("/.well-known/openid-configuration", issuer.discovery)
    app.router.add_get("/keys", issuer.jwks)
    async with TestServer(app) as server:
        issuer.url = str(server.make_url("")).rstrip("/")
        yield issuer


async def test_an_outside_issuer_is_trusted_by_its_published_keys(
    postgres_settings: PostgresSettings, embedder: Embedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(oidc, "_AGAIN_S", 0.0)
    async with (
        issuing() as issuer,
        doors(postgres_settings, embedder, oidc_issuer=issuer.url, oidc_audience="agentmem-api") as [door],
    ):
        status, ping = await door.answer("GET", "/v1/ping/", issuer.token())
        assert (status, ping["project_id"]) == (200, "ours")
        for _ in range(5):
            assert await door.ping(issuer.token(agentmem_project="theirs")) == 200
        assert issuer.fetched == 1
        stranger = RSAKey.generate_key(2048, {"kid": "r1"})
        secret = OctKey.import_key(str(issuer.keys[0].as_dict(private=False)["n"]), {"kid": "r1"})
        for token in (
            issuer.token(aud="others"),
            issuer.token(iss="http://127.0.0.1:1"),
            issuer.token(exp=int(time.time()) - 60),
            issuer.token(agentmem_project=None),
            issuer.token(agentmem_project="x" * 129),
            issuer.token(agentmem_project=7),
            issuer.token(stranger),
            issuer.token(secret, "HS256"),
            issuer.token(secret, "none"),
            issuer.token(stranger, header={"jku": f"{issuer.url}/elsewhere", "kid": "r9"}),
        ):
            assert await door.ping(token) == 401
        assert await door.ping(issuer.token(scope="read")) == 403
        assert await door.ping(issuer.token(scope=["agentmem:read"])) == 200
        # A new key is found by its kid, and the old one, no longer published, is refused.
        old = issuer.keys[0]
        issuer.keys = [ECKey.generate_key("P-256", {"kid": "e2"})]
        assert await door.ping(issuer.token(alg="ES256")) == 200
        assert await door.ping(issuer.token(old)) == 401
        # While the issuer is down, what is known of it goes on being good.
        issuer.down = True
        assert await door.ping(issuer.token(alg="ES256")) == 200
        assert await door.ping(issuer.token(old)) == 401


@pytest.mark.parametrize(
    "strange",
    [
        {"kty": "EC", "kid": "e1", "crv": "P-999", "x": "AA", "y": "AA"},
        {"kty": "RSA", "kid": "r2"},
        {"kty": ["RSA"], "kid": "r3"},
        {"kty": "RSA", "kid": ["r4"], "n": "AQAB", "e": "AQAB"},
        "no object",
        None,
    ],
)
async def test_a_key_that_is_not_understood_locks_nobody_out(
    postgres_settings: PostgresSettings, embedder: Embedder, strange: Any
) -> None:
    async with (
        issuing() as issuer,
        doors(postgres_settings, embedder, oidc_issuer=issuer.url, oidc_audience="agentmem-api") as [door],
    ):
        issuer.published = {"keys": [strange, issuer.keys[0].as_dict(private=False)]}
        assert await door.ping(issuer.token()) == 200


@pytest.mark.parametrize("published", [{}, [], {"keys": {"r1": {}}}, {"keys": "none"}, {"keys": None}])
async def test_an_issuer_whose_keys_are_no_keys_is_an_outage(
    postgres_settings: PostgresSettings, embedder: Embedder, published: Any
) -> None:
    async with (
        issuing() as issuer,
        doors(postgres_settings, embedder, oidc_issuer=issuer.url, oidc_audience="agentmem-api") as [door],
    ):
        issuer.published = published
        assert await door.ping(issuer.token()) == 503


async def test_an_issuer_that_says_nothing_keeps_nobody_waiting_whose_key_is_known(
    postgres_settings: PostgresSettings, embedder: Embedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(oidc, "_AGAIN_S", 0.0)
    monkeypatch.setattr(oidc, "_FRESH_S", 0.0)
    monkeypatch.setattr(oidc, "_TIMEOUT", ClientTimeout(total=600))
    async with (
        issuing() as issuer,
        doors(postgres_settings, embedder, oidc_issuer=issuer.url, oidc_audience="agentmem-api") as [door],
    ):
        assert await door.ping(issuer.token()) == 200
        issuer.answers.clear()
        # The first to find the keys old waits: a key that the issuer has withdrawn must not serve on.
        first = asyncio.create_task(door.ping(issuer.token()))

        async def asked() -> bool:
            return issuer.fetched == 2

        await eventually(asked)
        async with asyncio.timeout(30):
            assert await door.ping(issuer.token()) == 200
        assert not first.done()
        issuer.down = True
        issuer.answers.set()
        assert await first == 200
        assert await door.ping(issuer.token()) == 200
        # It is known to be away: not even the one that asks again waits.
        issuer.down = False
        issuer.answers.clear()
        async with asyncio.timeout(30):
            assert await door.ping(issuer.token()) == 200
        issuer.answers.set()


async def test_an_issuer_that_never_answered_is_an_outage_not_a_refusal(
    postgres_settings: PostgresSettings, embedder: Embedder
) -> None:
    async with (
        issuing() as issuer,
        doors(postgres_settings, embedder, oidc_issuer=issuer.url, oidc_audience="agentmem-api") as [door],
    ):
        issuer.down = True
        assert await door.ping(issuer.token()) == 503
        assert await door.ping(issuer.token()) == 503
        assert await door.ping(door.database.create_api_key("ours", "app")) == 200


async def test_rs_tokens_of_any_issuer_are_refused_without_one(
    postgres_settings: PostgresSettings, embedder: Embedder
) -> None:
    async with issuing() as issuer, doors(postgres_settings, embedder) as [door]:
        assert await door.ping(issuer.token()) == 401
        assert issuer.fetched == 0
