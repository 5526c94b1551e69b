"""Which addresses a webhook may have: it must not reach into the network that we run in."""

from __future__ import annotations

import socket
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any, Final

import structlog
from yarl import URL

_log = structlog.get_logger(__name__)

_URL_MAX: Final = 2_048
#: IPv6 that stands for IPv4 behind a translator, which may be any address at all.
_TRANSLATED: Final = tuple(map(ip_network, ("64:ff9b::/96", "64:ff9b:1::/48", "::/96", "2001::/32", "2002::/16")))


class ForbiddenAddressError(OSError):
    """A webhook's host has an address that webhooks may not go to.

    It does not say which: where a host has several, the text gets into the log that the webhook's maker reads.
    """

    def __init__(self) -> None:
        super().__init__("the address is not public")


def is_public(address: str) -> bool:
    """Whether the IP address is one of the public internet."""
    ip: IPv4Address | IPv6Address = ip_address(address.partition("%")[0])
    if isinstance(ip, IPv6Address):
        if ip.ipv4_mapped is not None:
            ip = ip.ipv4_mapped
        elif ip.is_site_local or any(ip in network for network in _TRANSLATED):
            return False
    return ip.is_global and not (ip.is_multicast or ip.is_reserved or ip.is_unspecified)


def public_socket(address: tuple[Any, ...]) -> socket.socket:
    """A socket for what ``getaddrinfo`` found, made just before it is connected to exactly that address.

    Here, behind the name's resolution, no second answer of a name server can bring in another address. Raises
    ``ForbiddenAddressError``.
    """
    family, kind, protocol, _name, (ip, *_) = address
    if not is_public(ip):
        _log.info("a webhook may not go to an address", address=ip)
        raise ForbiddenAddressError
    return socket.socket(family, kind, protocol)


def check_url(url: str, *, allow_private: bool) -> None:
    """Raise ``ValueError``, with a sentence, for a URL that no webhook may have. Names are not resolved here."""
    try:
        parsed = URL(url)
        host, port = parsed.host, parsed.port
    except ValueError as error:
        raise ValueError("must be a URL") from error
    schemes = ("https", "http") if allow_private else ("https",)
    if parsed.scheme not in schemes or not host or not port:
        raise ValueError(f"must be a URL that begins with {' or '.join(f'{scheme}://' for scheme in schemes)}")
    if len(url) > _URL_MAX:
        raise ValueError(f"must not be longer than {_URL_MAX} characters")
    if parsed.user is not None or parsed.password is not None or parsed.raw_fragment:
        raise ValueError("must not hold a user, a password or a fragment")
    if not allow_private and _is_private(host):
        raise ValueError("must not lead to a private, loopback or link-local address")


def _is_private(host: str) -> bool:
    try:
        return not is_public(host)
    except ValueError:  # a name
        return host == "localhost" or host.endswith(".localhost")
