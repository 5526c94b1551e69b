"""What a token must say before anything else that it says counts."""

from __future__ import annotations

from typing import Any, Final

from joserfc.errors import JoseError
from joserfc.jwt import JWTClaimsRegistry

from gateway.auth.signing import TokenRefusedError

#: How far apart the clocks of an issuer and a gateway may be, in seconds.
LEEWAY_S: Final = 30


def check_claims(claims: dict[str, Any], issuer: str, audience: str) -> None:
    """Check issuer, audience and times; raises ``TokenRefusedError``."""
    registry = JWTClaimsRegistry(
        leeway=LEEWAY_S,
        iss={"essential": True, "value": issuer},
        aud={"essential": True, "value": audience},
        exp={"essential": True},
        sub={"essential": True},
    )
    try:
        registry.validate(claims)
    except (JoseError, ValueError, TypeError) as error:
        raise TokenRefusedError(str(error)) from error


def text_claim(claims: dict[str, Any], name: str, length: int) -> str:
    """A claim that is a text of 1 to ``length`` characters; raises ``TokenRefusedError``."""
    value = claims.get(name)
    if not isinstance(value, str) or not 1 <= len(value) <= length or "\0" in value:
        raise TokenRefusedError(f"claim {name} is missing or no text of 1 to {length} characters")
    return value
