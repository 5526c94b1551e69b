"""Short-lived tokens in place of an API key, for programs that should not hold the key itself."""

from __future__ import annotations

from typing import Annotated, Any, Final

from aiohttp import web
from pydantic import BaseModel, Field

from gateway.auth.caller import CALLER
from gateway.auth.signing import TokenRefusedError
from gateway.auth.tokens import TokenPair, Tokens
from gateway.http.bodies import read_body, validated
from gateway.http.jsonio import json_response
from gateway.http.problems import ApiError, invalid
from gateway.http.routing import ANY, Route
from gateway.openapi.operation import operation
from gateway.services import SERVICES
from gateway.shapes import access as shapes


class Login(BaseModel):
    """What the tokens may do: by default all that the key may."""

    scopes: Annotated[list[shapes.KeyScope], Field(min_length=1)] | None = None


class RefreshToken(BaseModel):
    """A refresh token."""

    refresh_token: str = Field(min_length=1, max_length=4096, pattern=r"^[\x21-\x7e]+$")


@operation(
    body=Login, example={"scopes": ["read"]}, body_required=False, answers={200: shapes.Tokens}, problems=(501,)
)
async def login(request: web.Request) -> web.Response:
    """An access and a refresh token for the API key that calls, with all of its scopes or those named."""
    tokens, caller = _tokens(request), request[CALLER]
    if caller.key_id is None:
        raise ApiError(403, "forbidden", "Only an API key may begin a login: a token may not.")
    wanted = validated(Login, read_body(request) if request.body_exists else {})
    scopes = caller.scopes if wanted.scopes is None else frozenset(wanted.scopes)
    if not scopes <= caller.scopes:
        raise invalid("scopes", "may not name what the API key itself may not do")
    return _pair_response(request, tokens, await tokens.start(caller.project, caller.key_id, scopes))


@operation(
    body=RefreshToken,
    example={"refresh_token": "eyJhbGciOiJFZERTQSJ9.e30.c2ln"},
    answers={200: shapes.Tokens},
    problems=(401, 501),
)
async def refresh(request: web.Request) -> web.Response:
    """The next pair of tokens. A refresh token works once: used again, it ends the login."""
    tokens = _tokens(request)
    given = await _refresh_token(request)
    try:
        return _pair_response(request, tokens, await tokens.refresh(given))
    except TokenRefusedError as error:
        raise await _refused(request, given) from error


@operation(
    body=RefreshToken,
    example={"refresh_token": "eyJhbGciOiJFZERTQSJ9.e30.c2ln"},
    answers={200: shapes.TokensRevoked},
    problems=(401, 501),
)
async def revoke(request: web.Request) -> web.Response:
    """End the login of a refresh token: every gateway refuses its tokens within seconds."""
    tokens = _tokens(request)
    given = await _refresh_token(request)
    try:
        await tokens.revoke(given)
    except TokenRefusedError as error:
        raise await _refused(request, given) from error
    return json_response({"status": "revoked"})


@operation(answers={200: shapes.KeySet})
async def public_keys(request: web.Request) -> web.Response:
    """The keys by which others can check our tokens, as a JSON Web Key Set."""
    tokens = request.app[SERVICES].tokens
    document: dict[str, Any] = tokens.keys.public() if tokens is not None else {"keys": []}
    return json_response(document)


def _tokens(request: web.Request) -> Tokens:
    tokens = request.app[SERVICES].tokens
    if tokens is None:
        raise ApiError(
            501, "no_tokens", "This gateway issues no tokens: use an API key, or set gateway.token_keys_file."
        )
    return tokens


def _pair_response(request: web.Request, tokens: Tokens, pair: TokenPair) -> web.Response:
    request.app[SERVICES].strangers.passed(pair.access)
    return json_response(
        {
            "access_token": pair.access,
            "token_type": "Bearer",
            "expires_in": tokens.policy.access_s,
            "refresh_token": pair.refresh,
            "scope": " ".join(sorted(pair.scopes)),
        }
    )


async def _refresh_token(request: web.Request) -> str:
    given = validated(RefreshToken, read_body(request)).refresh_token
    await request.app[SERVICES].strangers.admit(request, given)
    return given


async def _refused(request: web.Request, given: str) -> ApiError:
    await request.app[SERVICES].strangers.failed(request, given)
    return ApiError(401, "invalid_token", "The refresh token is not good: log in with the API key again.")


ROUTES: Final = [
    Route("POST", "/v1/tokens/", login, ANY),
    Route("POST", "/v1/tokens/refresh/", refresh, None),
    Route("POST", "/v1/tokens/revoke/", revoke, None),
    Route("GET", "/.well-known/jwks.json", public_keys, None),
]
