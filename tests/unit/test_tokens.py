"""Tokens that must not be good, and keys that must not sign."""

from __future__ import annotations

import base64
import json
import time
from pathlib import Path
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

from gateway.auth.claims import check_claims
from gateway.auth.signing import Registry, SigningKeys, TokenRefusedError
from schemas.problems import MisconfiguredError

KIND = "at+jwt"
EDDSA = OKPKey.generate_key("Ed25519", {"kid": "new"})
HMAC = OctKey.generate_key(256, {"kid": "old"})
KEYS = SigningKeys({"new": EDDSA, "old": HMAC})
ANY_ALGORITHM = Registry(algorithms=["HS256", "HS384", "HS512", "EdDSA", "Ed25519", "ES256", "RS256", "none"])


def signed(key: Any, header: dict[str, Any], claims: dict[str, Any] | None = None) -> str:
    return jwt.encode({"typ": KIND, **header}, claims or {"sub": "x"}, key, registry=ANY_ALGORITHM)


def encoded(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).rstrip(b"=").decode()


def raw(header: bytes, signature: str = "AA") -> str:
    return ".".join((encoded(header), encoded(b"{}"), signature))


def test_what_each_key_signs_is_good() -> None:
    token = KEYS.sign({"sub": "x"}, KIND)
    assert jwt.decode(token, EDDSA, registry=ANY_ALGORITHM).header["kid"] == "new"
    assert KEYS.verify(token, KIND) == {"sub": "x"}
    assert KEYS.verify(signed(HMAC, {"alg": "HS256", "kid": "old"}), KIND) == {"sub": "x"}


def test_only_public_keys_are_published() -> None:
    [published] = KEYS.public()["keys"]
    assert (published["kid"], published["alg"]) == ("new", "EdDSA")
    assert "d" not in published


PUBLIC_AS_SECRET = OctKey.import_key(base64.urlsafe_b64decode(str(EDDSA.as_dict(private=False)["x"]) + "="))
STRANGER = OKPKey.generate_key("Ed25519")


@pytest.mark.parametrize(
    "token",
    [
        pytest.param(raw(b'{"alg":"none","kid":"new","typ":"at+jwt"}', ""), id="none"),
        pytest.param(raw(b'{"alg":"None","kid":"new","typ":"at+jwt"}'), id="None"),
        pytest.param(raw(b'{"typ":"at+jwt"}', ""), id="no algorithm"),
        pytest.param(signed(PUBLIC_AS_SECRET, {"alg": "HS256", "kid": "new"}), id="public key as secret"),
        pytest.param(signed(PUBLIC_AS_SECRET, {"alg": "HS256", "kid": "old"}), id="wrong secret"),
        pytest.param(signed(HMAC, {"alg": "HS256", "kid": "new"}), id="swapped"),
        pytest.param(signed(EDDSA, {"alg": "EdDSA", "kid": "old"}), id="swapped back"),
        pytest.param(signed(HMAC, {"alg": "HS512", "kid": "old"}), id="another hash"),
        pytest.param(signed(EDDSA, {"alg": "Ed25519", "kid": "new"}), id="another name"),
        pytest.param(signed(STRANGER, {"alg": "EdDSA", "kid": "new"}), id="stranger"),
        pytest.param(signed(EDDSA, {"alg": "EdDSA", "kid": "unknown"}), id="unknown kid"),
        pytest.param(signed(EDDSA, {"alg": "EdDSA"}), id="no kid"),
        pytest.param(signed(EDDSA, {"alg": "EdDSA", "kid": "new", "typ": "refresh+jwt"}), id="another kind"),
        pytest.param(signed(STRANGER, {"alg": "EdDSA", "kid": "new", "jwk": STRANGER.as_dict()}), id="own key"),
        pytest.param(raw(b'{"alg":"EdDSA","kid":["new"],"typ":"at+jwt"}'), id="kid list"),
        pytest.param(raw(b"[" * 3000), id="deep header"),
        pytest.param("a.b.c", id="nonsense"),
        pytest.param("..", id="empty"),
        pytest.param("é.x.y", id="not ascii"),
    ],
)
def test_what_must_not_be_good(token: str) -> None:
    with pytest.raises(TokenRefusedError):
        KEYS.verify(token, KIND)


def test_a_changed_token_is_refused() -> None:
    head, _, signature = KEYS.sign({"sub": "x"}, KIND).split(".")
    with pytest.raises(TokenRefusedError):
        KEYS.verify(".".join((head, encoded(b'{"sub":"y"}'), signature)), KIND)


GOOD = {"iss": "us", "aud": "them", "sub": "x", "exp": time.time() + 3600}


@pytest.mark.parametrize(
    "changed",
    [
        {"exp": time.time() - 60},
        {"exp": None},
        {"exp": "tomorrow"},
        {"nbf": time.time() + 3600},
        {"iat": time.time() + 3600},
        {"aud": "others"},
        {"aud": ["others"]},
        {"aud": None},
        {"aud": {"them": 1}},
        {"iss": "others"},
        {"iss": ["us"]},
        {"iss": None},
        {"sub": None},
    ],
)
def test_claims_that_will_not_do(changed: dict[str, Any]) -> None:
    check_claims(GOOD, "us", "them")
    check_claims({**GOOD, "aud": ["others", "them"]}, "us", "them")
    with pytest.raises(TokenRefusedError):
        check_claims({**GOOD, **changed}, "us", "them")


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ([], "needs keys"),
        ([EDDSA.as_dict(private=True)] * 2, "a kid of its own"),
        ([EDDSA.as_dict(private=False)], "secret part"),
        ([OctKey.generate_key(128, {"kid": "a"}).as_dict(private=True)], "shorter than 32 bytes"),
        ([RSAKey.generate_key(2048, {"kid": "a"}).as_dict(private=True)], "neither HS256 nor EdDSA"),
        ([ECKey.generate_key("P-256", {"kid": "a"}).as_dict(private=True)], "neither HS256 nor EdDSA"),
        ([{**HMAC.as_dict(private=True), "alg": "HS512"}], "neither HS256 nor EdDSA"),
        ([OKPKey.generate_key("X25519", {"kid": "a"}).as_dict(private=True)], "neither HS256 nor EdDSA"),
        ([{"kty": "oct", "k": HMAC.as_dict(private=True)["k"]}], "needs a kid"),
        ([{"kid": "a"}], "no JSON Web Key Set"),
        (7, "no JSON Web Key Set"),
    ],
)
def test_keys_that_will_not_do_are_told(tmp_path: Path, keys: Any, problem: str) -> None:
    path = tmp_path / "keys.json"
    path.write_text(json.dumps({"keys": keys}))
    with pytest.raises(MisconfiguredError, match=problem):
        SigningKeys.read(path)


def test_a_key_file_that_is_missing_or_no_json_is_told(tmp_path: Path) -> None:
    with pytest.raises(MisconfiguredError, match="No such file"):
        SigningKeys.read(tmp_path / "none")
    (tmp_path / "bad").write_text("{")
    with pytest.raises(MisconfiguredError, match="no JSON Web Key Set"):
        SigningKeys.read(tmp_path / "bad")


def test_keys_are_read_in_their_order(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    path.write_text(json.dumps({"keys": [HMAC.as_dict(private=True), EDDSA.as_dict(private=True)]}))
    keys = SigningKeys.read(path)
    token = keys.sign({"sub": "x"}, KIND)
    assert jwt.decode(token, HMAC, registry=ANY_ALGORITHM).header["alg"] == "HS256"
    assert keys.verify(KEYS.sign({"sub": "y"}, KIND), KIND) == {"sub": "y"}
