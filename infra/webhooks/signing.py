"""Signatures as Standard Webhooks has them: HMAC-SHA256 over the id, the time and the body."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from base64 import b64decode, b64encode
from collections.abc import Iterable
from typing import Final

_PREFIX: Final = "whsec_"
_BYTES: Final = 32


def new_secret() -> str:
    """A secret for a new webhook."""
    return _PREFIX + b64encode(secrets.token_bytes(_BYTES)).decode()


def signed_headers(keys: Iterable[str], id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The headers by which the receiver knows that we sent this body, whichever of the secrets (``keys``) it has.

    ``timestamp``: Unix seconds, now.
    """
    content = f"{id}.{timestamp}.".encode() + body
    digests = [hmac.digest(b64decode(one.removeprefix(_PREFIX)), content, hashlib.sha256) for one in keys]
    return {
        "webhook-id": id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(f"v1,{b64encode(digest).decode()}" for digest in digests),
    }
