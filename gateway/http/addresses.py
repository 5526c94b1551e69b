"""Where a call comes from, also behind proxies."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Final

#: A network of this length is one customer's: it can call from any address in it.
_IPV6_PREFIX: Final = 64


@lru_cache(maxsize=4)
def networks(listed: str) -> tuple[IPv4Network | IPv6Network, ...]:
    """The networks in a comma-separated list; raises ``ValueError``."""
    return tuple(ip_network(part.strip()) for part in listed.split(",") if part.strip())


def caller_address(peer: str | None, forwarded: str, trusted: str) -> str:
    """The address to count by: the last one in ``forwarded`` that is no trusted proxy, when ``peer`` is one.

    What stands further left anybody could have written.
    """
    proxies = networks(trusted)
    address = peer or ""
    for hop in reversed([part.strip() for part in forwarded.split(",") if part.strip()]):
        if not _is_in(address, proxies):
            break
        address = hop
    return _counted(address)


def _is_in(address: str, proxies: tuple[IPv4Network | IPv6Network, ...]) -> bool:
    try:
        ip = ip_address(address)
    except ValueError:
        return False
    return any(ip in network for network in proxies)


def _counted(address: str) -> str:
    try:
        ip = ip_address(address)
    except ValueError:
        return address[:64]
    if ip.version == 4:
        return str(ip)
    if ip.ipv4_mapped is not None:
        return str(ip.ipv4_mapped)
    return str(ip_network((ip, _IPV6_PREFIX), strict=False))
