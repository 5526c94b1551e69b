"""The keys with which this gateway signs its own tokens, and by which it knows them again."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import orjson
from joserfc import jwt
from joserfc.errors import JoseError, UnsupportedAlgorithmError
from joserfc.jwk import JWKRegistry, Key, OctKey, OKPKey
from joserfc.jws import JWSRegistry, extract_compact

from schemas.problems import MisconfiguredError

#: What a key may sign with, by its type.
_ALGORITHMS: Final = {"oct": "HS256", "OKP": "EdDSA"}
_HMAC_BYTES: Final = 32


class TokenRefusedError(Exception):
    """A token is not good. Why is for the log: a caller need not know."""


class Registry(JWSRegistry):
    """The algorithms named, and no other. (The library warns of EdDSA, which is what most verifiers know.)"""

    def get_alg(self, name: str) -> Any:
        if name not in (self.allowed or ()) or name not in self.algorithms:
            raise UnsupportedAlgorithmError(f"algorithm {name!r} is not allowed")
        return self.algorithms[name]


class SigningKeys:
    """A JSON Web Key Set: the first key signs, all of them verify, so that a new one can be put before the old.

    Each key is bound to one algorithm by its type: a token that names another is refused, and so is ``none``.
    """

    def __init__(self, keys: Mapping[str, Key]) -> None:
        self._keys = dict(keys)
        self._registry = Registry(algorithms=[*_ALGORITHMS.values()])

    @classmethod
    def read(cls, path: Path) -> SigningKeys:
        """The keys in a file. Raises ``MisconfiguredError`` for a file or a key that will not do."""
        try:
            documents = orjson.loads(path.read_bytes())["keys"]
            keys = [JWKRegistry.import_key(document) for document in documents]
        except OSError as error:
            raise MisconfiguredError(f"gateway.token_keys_file {path}: {error.strerror}") from error
        except (KeyError, TypeError, ValueError, JoseError) as error:
            raise MisconfiguredError(f"gateway.token_keys_file {path} is no JSON Web Key Set: {error}") from error
        for key in keys:
            _check(key, path)
        if not keys or len({key.kid for key in keys}) < len(keys):
            raise MisconfiguredError(f"gateway.token_keys_file {path} needs keys, each with a kid of its own")
        return cls({key.kid: key for key in keys if key.kid})

    def sign(self, claims: dict[str, Any], kind: str) -> str:
        """A token of this kind (its ``typ``), signed by the first key."""
        kid, key = next(iter(self._keys.items()))
        header = {"alg": _ALGORITHMS[key.key_type], "kid": kid, "typ": kind}
        return jwt.encode(header, claims, key, registry=self._registry)

    def verify(self, token: str, *kinds: str) -> dict[str, Any]:
        """The claims of a token of these kinds that one of the keys signed; raises ``TokenRefusedError``."""
        try:
            key = self._key_of(extract_compact(token.encode()).headers())
            decoded = jwt.decode(token, key, registry=self._registry)
        except (JoseError, ValueError) as error:
            raise TokenRefusedError(str(error)) from error
        if decoded.header.get("typ") not in kinds:
            raise TokenRefusedError(f"it is no {' or '.join(kinds)}")
        return decoded.claims

    def public(self) -> dict[str, Any]:
        """The keys by which others may verify: those that are not secret."""
        return {
            "keys": [
                {**key.as_dict(private=False), "kid": kid, "alg": _ALGORITHMS[key.key_type], "use": "sig"}
                for kid, key in self._keys.items()
                if isinstance(key, OKPKey)
            ]
        }

    def _key_of(self, header: Mapping[str, Any]) -> Key:
        key = self._keys.get(str(header.get("kid")))
        if key is None or header.get("alg") != _ALGORITHMS[key.key_type]:
            raise TokenRefusedError("no key of ours signs like that")
        return key


def _check(key: Key, path: Path) -> None:
    algorithm = _ALGORITHMS.get(key.key_type)
    named = key.get("alg", algorithm)
    if algorithm is None or named != algorithm or (isinstance(key, OKPKey) and key.curve_name != "Ed25519"):
        raise MisconfiguredError(f"gateway.token_keys_file {path}: key {key.kid} is for neither HS256 nor EdDSA")
    if not key.kid or not key.is_private:
        raise MisconfiguredError(f"gateway.token_keys_file {path}: every key needs a kid and its secret part")
    if isinstance(key, OctKey) and len(key.raw_value) < _HMAC_BYTES:
        raise MisconfiguredError(
            f"gateway.token_keys_file {path}: key {key.kid} is shorter than {_HMAC_BYTES} bytes"
        )
