"""API keys and tokens."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field
from typing_extensions import TypedDict

from gateway.shapes.parts import Id, Time

KeyScope = Literal["read", "write", "admin"]
KeyStatus = Literal["active", "expired", "revoked"]


class Key(TypedDict):
    """An API key without its token."""

    id: Id
    name: str
    prefix: str
    scopes: list[KeyScope]
    status: KeyStatus
    created_at: Time
    expires_at: Time | None
    revoked_at: Time | None


class KeyMade(Key):
    """A new API key with its token."""

    key: Annotated[str, Field(description="The token. It is shown here and never again.")]


class KeyRevoked(TypedDict):
    """A key's end."""

    id: Id
    status: Literal["revoked"]


class Tokens(TypedDict):
    """An access and a refresh token."""

    access_token: str
    token_type: Literal["Bearer"]
    expires_in: Annotated[int, Field(description="How long the access token is good, in seconds.")]
    refresh_token: str
    scope: str


class TokensRevoked(TypedDict):
    """A login's end."""

    status: Literal["revoked"]


class KeySet(TypedDict):
    """A JSON Web Key Set."""

    keys: list[dict[str, Any]]
