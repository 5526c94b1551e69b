"""Cursors: where a reader stands in the event topic, as a text that only this project can use.

A cursor holds a position for each partition, encrypted and authenticated with a key that belongs to the project
(AES-SIV, which needs no nonce, so a cursor stays short). It tells nobody how much other projects write, and one
that was forged, cut or taken from another project is refused like any other nonsense.
"""

from __future__ import annotations

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable, Iterator
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from gateway.feeds.inbound import Positions

#: A cursor over 1,000 partitions is shorter than this.
_LENGTH_MAX: Final = 8_000
_VERSION: Final = b"agentmem cursor 1"


class InvalidCursorError(ValueError):
    """The text is no cursor of this project."""


class Cursors:
    """Writes and reads the cursors of one project. ``key``: 32 random bytes that only this project has."""

    def __init__(self, key: bytes, project: str, topic: str) -> None:
        self._cipher = AESSIV(key)
        self._bound_to = [_VERSION, project.encode(), topic.encode()]

    def encode(self, positions: Positions) -> str:
        """The cursor of these positions; the same positions make the same cursor."""
        sealed = self._cipher.encrypt(b"".join(_varint(position) for position in positions), self._bound_to)
        return urlsafe_b64encode(sealed).decode().rstrip("=")

    def decode(self, cursor: str) -> Positions:
        """The positions; raises ``InvalidCursorError``."""
        if len(cursor) > _LENGTH_MAX or not cursor.isascii():
            raise InvalidCursorError
        try:
            sealed = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
            positions = tuple(_numbers(self._cipher.decrypt(sealed, self._bound_to)))
        except (binascii.Error, InvalidTag, ValueError) as error:
            raise InvalidCursorError from error
        # Base64 reads some texts that it would not write.
        if self.encode(positions) != cursor:
            raise InvalidCursorError
        return positions


def _varint(number: int) -> bytes:
    """Seven bits a byte, lowest first; all but the last byte have the highest bit set."""
    data = bytearray()
    while number > 0x7F:
        data.append(number & 0x7F | 0x80)
        number >>= 7
    data.append(number)
    return bytes(data)


def _numbers(data: Iterable[int]) -> Iterator[int]:
    number = shift = 0
    for byte in data:
        number |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            yield number
            number = shift = 0
