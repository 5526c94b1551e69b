"""From a credential to its caller: an API key, a token of ours, or one of the outside issuer."""

from __future__ import annotations

import logging

import orjson
from joserfc.errors import JoseError
from joserfc.jws import extract_compact

from gateway.auth.caller import Caller
from gateway.auth.keys import KeyCache
from gateway.auth.oidc import OidcIssuer
from gateway.auth.signing import TokenRefusedError
from gateway.auth.tokens import Tokens

log = logging.getLogger(__name__)


class Authenticator:
    """Knows every kind of credential that this gateway takes."""

    def __init__(self, keys: KeyCache, tokens: Tokens | None, oidc: OidcIssuer | None) -> None:
        self._keys = keys
        self._tokens = tokens
        self._oidc = oidc

    async def find(self, credential: str) -> Caller | None:
        """Who presents this, or None when it is not good. Raises ``StoreUnavailableError``."""
        if credential.count(".") != 2:
            return await self._keys.find(credential)
        try:
            issuer = _issuer_of(credential)
            if self._tokens is not None and issuer == self._tokens.policy.issuer:
                return await self._tokens.find(credential)
            if self._oidc is not None and issuer == self._oidc.issuer:
                return await self._oidc.find(credential)
        except TokenRefusedError as error:
            log.info("a token was refused: %s", error)
        return None

    async def is_signed(self, credential: str) -> bool:
        """Whether an issuer that we know signed this and it has not run out: no store is asked."""
        if credential.count(".") != 2:
            return False
        try:
            issuer = _issuer_of(credential)
            if self._tokens is not None and issuer == self._tokens.policy.issuer:
                self._tokens.check(credential)
                return True
            return (
                self._oidc is not None and issuer == self._oidc.issuer and bool(await self._oidc.find(credential))
            )
        except TokenRefusedError as error:
            log.info("a token was refused: %s", error)
            return False


def _issuer_of(token: str) -> object:
    """Who the token says made it: nothing is believed of it yet, this only chooses who checks it."""
    try:
        claims = orjson.loads(extract_compact(token.encode()).payload)
    except (JoseError, ValueError) as error:
        raise TokenRefusedError(str(error)) from error
    return claims.get("iss") if isinstance(claims, dict) else None
