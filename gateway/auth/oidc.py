"""Tokens of an outside OpenID Connect issuer, checked by the keys that it publishes."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from typing import Any, Final

import aiohttp
import orjson
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import JWKRegistry, Key
from joserfc.jws import extract_compact

from gateway.auth.caller import PROJECT_MAX, Caller
from gateway.auth.claims import check_claims, text_claim
from gateway.auth.policies import OidcPolicy, is_safe
from gateway.auth.signing import Registry, TokenRefusedError
from infra.postgres.keys import SCOPES
from schemas.problems import StoreUnavailableError

log = logging.getLogger(__name__)

#: Public keys only: with a shared secret anybody who can verify could also sign.
_ALGORITHMS: Final = {
    "RSA": ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    "EC": ("ES256", "ES384", "ES512"),
    "OKP": ("EdDSA", "Ed25519"),
}
_SCOPE_PREFIX: Final = "agentmem:"
_DISCOVERY: Final = "/.well-known/openid-configuration"
_TIMEOUT: Final = aiohttp.ClientTimeout(total=5)
_DOCUMENT_MAX_BYTES: Final = 256 * 1024
#: Keys are looked at again after this time, and for a kid that nobody knows not more often than that.
_FRESH_S: Final = 600.0
_AGAIN_S: Final = 10.0


class OidcIssuer:
    """Checks the issuer's tokens. Its keys come from itself only: what a token says about keys is not followed."""

    def __init__(self, policy: OidcPolicy) -> None:
        self._policy = policy
        self._registry = Registry(algorithms=[name for names in _ALGORITHMS.values() for name in names])
        self._keys: dict[str, Key] = {}
        self._fetched = self._tried = -_FRESH_S
        self._refreshing: asyncio.Task[None] | None = None

    @property
    def issuer(self) -> str:
        return self._policy.issuer

    async def find(self, token: str) -> Caller:
        """Who calls with this token. Raises ``TokenRefusedError``; ``StoreUnavailableError`` without any keys."""
        try:
            header = extract_compact(token.encode()).headers()
            await self._refresh_for(header.get("kid"))
            claims = jwt.decode(token, self._key_of(header), registry=self._registry).claims
        except (JoseError, ValueError) as error:
            raise TokenRefusedError(str(error)) from error
        check_claims(claims, self._policy.issuer, self._policy.audience)
        subject = text_claim(claims, "sub", 256)
        project = text_claim(claims, self._policy.project_claim, PROJECT_MAX)
        return Caller(project, subject, _scopes(claims.get(self._policy.scope_claim)), f"oidc:{subject}")

    def _key_of(self, header: Mapping[str, Any]) -> Key:
        key = self._keys.get(str(header.get("kid")))
        if key is None or header.get("alg") not in _ALGORITHMS.get(key.key_type, ()):
            raise TokenRefusedError("no key of the issuer signs like that")
        if key.alg is not None and key.alg != header["alg"]:
            raise TokenRefusedError("that key is for another algorithm")
        return key

    async def _refresh_for(self, kid: object) -> None:
        """Fetch the issuer's keys when they are old or do not have this one; old keys serve while it is down."""
        now = time.monotonic()
        known = str(kid) in self._keys
        if known and now - self._fetched < _FRESH_S:
            return
        # An issuer that has not answered since keeps nobody waiting whose key is at hand.
        waits = not known or self._tried == self._fetched
        if now - self._tried >= _AGAIN_S and (self._refreshing is None or self._refreshing.done()):
            self._tried = now
            self._refreshing = asyncio.create_task(self._refresh(now), name="keys of the OpenID Connect issuer")
        if waits and self._refreshing is not None:
            await asyncio.shield(self._refreshing)  # others wait for it, too
        if not self._keys:
            raise StoreUnavailableError("The OpenID Connect issuer", "its keys cannot be read")

    async def _refresh(self, now: float) -> None:
        try:
            self._keys = await self._fetch()
            self._fetched = now
        except (aiohttp.ClientError, TimeoutError, ValueError, KeyError) as error:
            log.warning("the keys of %s cannot be read: %s", self._policy.issuer, error)

    async def _fetch(self) -> dict[str, Key]:
        async with aiohttp.ClientSession(timeout=_TIMEOUT) as session:
            url = self._policy.jwks_url
            if url is None:
                about = await _document(session, self._policy.issuer.rstrip("/") + _DISCOVERY)
                if about["issuer"] != self._policy.issuer:
                    raise ValueError(f"it calls itself {about['issuer']}")
                url = about["jwks_uri"]
            found = (await _document(session, url))["keys"]
        if not isinstance(found, list):
            raise ValueError(f"keys at {url} is no list")
        return {key.kid: key for document in found if (key := _imported(document)) is not None and key.kid}


def _imported(document: Any) -> Key | None:
    """A key to verify with; None for what is none, or none that we understand: RFC 7517 (5) has these ignored."""
    try:
        if document["kty"] in _ALGORITHMS and document.get("use", "sig") == "sig":
            return JWKRegistry.import_key(document)
    except Exception as error:  # noqa: BLE001  # whatever is wrong with one key, the others are good
        log.info("a key of the OpenID Connect issuer is left out: %s: %s", type(error).__name__, error)
    return None


async def _document(session: aiohttp.ClientSession, url: object) -> Mapping[str, Any]:
    if not isinstance(url, str) or not is_safe(url):
        raise ValueError(f"{url} is not https")
    async with session.get(url, allow_redirects=False) as answer:
        if answer.status != 200:
            raise ValueError(f"{url} answers {answer.status}")
        data = await answer.content.read(_DOCUMENT_MAX_BYTES + 1)
        while len(data) <= _DOCUMENT_MAX_BYTES and (more := await answer.content.read(_DOCUMENT_MAX_BYTES)):
            data += more
    document = orjson.loads(data) if len(data) <= _DOCUMENT_MAX_BYTES else None
    if not isinstance(document, dict):
        raise ValueError(f"{url} is no JSON object of at most {_DOCUMENT_MAX_BYTES} bytes")
    return document


def _scopes(claim: object) -> frozenset[str]:
    names = claim.split() if isinstance(claim, str) else claim if isinstance(claim, list) else []
    texts = {name for name in names if isinstance(name, str)}
    return frozenset(scope for scope in SCOPES if _SCOPE_PREFIX + scope in texts)
