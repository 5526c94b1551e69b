"""The part of the gateway's settings that says whose credentials are good."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from gateway.auth.policies import OidcPolicy, TokenPolicy, is_safe


class AuthSettings(BaseModel):
    """API keys, tokens of our own, and those of an outside issuer."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    key_cache_s: float = Field(
        3.0,
        ge=0,
        le=60,
        description="How long a checked API key is remembered, in seconds: as long a revoked one still works.",
    )
    documents_open: bool = Field(
        True, description="Whether the gateway's documents and their pages (/docs) can be read without an API key."
    )
    token_keys_file: Path | None = Field(
        None,
        description="JSON Web Key Set that signs tokens, its first key for new ones; without it there are none.",
    )
    token_issuer: str = Field("agentmem", min_length=1, description="What tokens name as their issuer.")
    token_audience: str = Field("agentmem", min_length=1, description="What tokens name as their audience.")
    access_token_s: int = Field(900, ge=10, le=86_400, description="How long an access token is good, in seconds.")
    refresh_token_s: int = Field(
        30 * 86_400, ge=60, le=366 * 86_400, description="How long a login is good, in seconds, refreshed or not."
    )
    oidc_issuer: str | None = Field(
        None, min_length=1, description="URL of an OpenID Connect issuer whose tokens are good here too."
    )
    oidc_audience: str | None = Field(
        None, min_length=1, description="The audience that its tokens must name; needed with gateway.oidc_issuer."
    )
    oidc_jwks_url: str | None = Field(
        None, min_length=1, description="Where its keys are; by default its discovery document says so."
    )
    oidc_project_claim: str = Field(
        "agentmem_project", min_length=1, description="The claim of its tokens that names the project."
    )
    oidc_scope_claim: str = Field(
        "scope",
        min_length=1,
        description="The claim with the scopes: agentmem:read, agentmem:write, agentmem:admin.",
    )

    @model_validator(mode="after")
    def _check_oidc(self) -> Self:
        for url in (self.oidc_issuer, self.oidc_jwks_url):
            if url is not None and not is_safe(url):
                raise ValueError(f"{url} must be an https URL: keys that come over http could be anybody's")
        if self.oidc_issuer is not None and self.oidc_audience is None:
            raise ValueError("gateway.oidc_issuer needs gateway.oidc_audience")
        if self.oidc_issuer == self.token_issuer:
            raise ValueError("gateway.oidc_issuer and gateway.token_issuer must differ")
        return self

    @property
    def token_policy(self) -> TokenPolicy:
        """Our own tokens."""
        return TokenPolicy(self.token_issuer, self.token_audience, self.access_token_s, self.refresh_token_s)

    @property
    def oidc_policy(self) -> OidcPolicy | None:
        """The outside issuer; None without one."""
        if self.oidc_issuer is None or self.oidc_audience is None:
            return None
        return OidcPolicy(
            issuer=self.oidc_issuer,
            audience=self.oidc_audience,
            jwks_url=self.oidc_jwks_url,
            project_claim=self.oidc_project_claim,
            scope_claim=self.oidc_scope_claim,
        )
