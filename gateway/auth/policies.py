"""What the settings say about tokens, in the shape that the code works with."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class TokenPolicy:
    """Who issues our own tokens, for whom, and for how many seconds they are good."""

    issuer: str
    audience: str
    access_s: int
    refresh_s: int


@dataclass(frozen=True, slots=True)
class OidcPolicy:
    """Which issuer is trusted, for which audience, and which claims say the project and the scopes."""

    issuer: str
    audience: str
    jwks_url: str | None
    project_claim: str
    scope_claim: str


def is_safe(url: str) -> bool:
    """Whether what is fetched there surely comes from there: https, or this machine."""
    parts = urlsplit(url)
    return parts.scheme == "https" or (
        parts.scheme == "http" and parts.hostname in ("127.0.0.1", "::1", "localhost")
    )
