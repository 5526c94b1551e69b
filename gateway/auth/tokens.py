"""Our own tokens: a short-lived one to call with, and one to get the next pair with, which works once."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID, uuid4

from gateway.auth.cache import TtlCache
from gateway.auth.caller import PROJECT_MAX, Caller
from gateway.auth.claims import check_claims, text_claim
from gateway.auth.policies import TokenPolicy
from gateway.auth.signing import SigningKeys, TokenRefusedError
from gateway.threads import Call
from infra.postgres import Database
from infra.postgres.families import TokenFamily

log = logging.getLogger(__name__)

_ACCESS: Final = "at+jwt"
_REFRESH: Final = "refresh+jwt"


@dataclass(frozen=True, slots=True)
class TokenPair:
    """What a login gets."""

    access: str
    refresh: str
    scopes: frozenset[str]


class Tokens:
    """Makes and checks tokens. Each belongs to a family, the login that began with an API key.

    When the family or its key ends, no token of theirs is good any more: each gateway notices within ``ttl_s``.
    """

    def __init__(
        self, keys: SigningKeys, policy: TokenPolicy, database: Database, call: Call, ttl_s: float
    ) -> None:
        self.policy = policy
        self.keys = keys
        self._credentials = database.credentials
        self._call = call
        self._families: TtlCache[tuple[str, UUID], TokenFamily] = TtlCache(self._load, ttl_s)

    async def start(self, project: str, key_id: UUID, scopes: Collection[str]) -> TokenPair:
        """A login with an API key."""
        family, current = uuid4(), uuid4()
        await self._call(
            self._credentials.start_family, project, key_id, family, current, scopes, self.policy.refresh_s
        )
        return self._pair(project, family, current, frozenset(scopes), time.time() + self.policy.refresh_s)

    async def refresh(self, token: str) -> TokenPair:
        """The next pair; the token given is used up. Raises ``TokenRefusedError``."""
        project, family_id, used = self._read_refresh(token)
        following = uuid4()
        family = await self._call(self._credentials.advance_family, project, family_id, used, following)
        if family is None:
            self._families.forget((project, family_id))
            log.warning("a refresh token of project %s was used again, or its login has ended", project)
            raise TokenRefusedError("used before, or its login has ended")
        return self._pair(project, family_id, following, family.scopes, family.expires_at.timestamp())

    async def revoke(self, token: str) -> None:
        """End the login that a refresh token belongs to. Raises ``TokenRefusedError`` for one that is not ours."""
        project, family_id, _ = self._read_refresh(token)
        await self._call(self._credentials.revoke_family, project, family_id)
        self._families.forget((project, family_id))

    async def find(self, token: str) -> Caller:
        """Who calls with this access token. Raises ``TokenRefusedError`` and ``StoreUnavailableError``."""
        claims = self._claims(token, _ACCESS)
        project, family_id = text_claim(claims, "project", PROJECT_MAX), _uuid(claims, "sid")
        family = await self._families.find((project, family_id))
        if family is None:
            raise TokenRefusedError("its login has ended")
        scopes = family.scopes & frozenset(text_claim(claims, "scope", 100).split())
        return Caller(project, family.key_name, scopes, f"key:{family.key_id}")

    def check(self, token: str) -> None:
        """Look at the signature and the time alone. Raises ``TokenRefusedError`` for a token that is not ours."""
        self._claims(token, _ACCESS, _REFRESH)

    async def _load(self, key: tuple[str, UUID]) -> TokenFamily | None:
        return await self._call(self._credentials.find_family, *key)

    def _pair(self, project: str, family: UUID, current: UUID, scopes: frozenset[str], ends: float) -> TokenPair:
        now = int(time.time())
        common = {
            "iss": self.policy.issuer,
            "aud": self.policy.audience,
            "sub": str(family),
            "sid": str(family),
            "project": project,
            "iat": now,
        }
        access = {
            **common,
            "jti": str(uuid4()),
            "exp": min(now + self.policy.access_s, int(ends)),
            "scope": " ".join(sorted(scopes)),
        }
        refresh = {**common, "jti": str(current), "exp": int(ends)}
        return TokenPair(self.keys.sign(access, _ACCESS), self.keys.sign(refresh, _REFRESH), scopes)

    def _read_refresh(self, token: str) -> tuple[str, UUID, UUID]:
        claims = self._claims(token, _REFRESH)
        return text_claim(claims, "project", PROJECT_MAX), _uuid(claims, "sid"), _uuid(claims, "jti")

    def _claims(self, token: str, *kinds: str) -> dict[str, Any]:
        claims = self.keys.verify(token, *kinds)
        check_claims(claims, self.policy.issuer, self.policy.audience)
        return claims


def _uuid(claims: dict[str, Any], name: str) -> UUID:
    try:
        return UUID(text_claim(claims, name, 36))
    except ValueError as error:
        raise TokenRefusedError(f"claim {name} is no UUID") from error
