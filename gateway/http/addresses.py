"""Where a call comes from, also behind proxies."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

#: A network of this length is one customer's: it can call from any address in it.
_IPV6_PREFIX: Final = 64
#: What addresses share, by version, when there are too many to count one by one.
_WIDER: Final = {4: 16, 6: 32}


@lru_cache(maxsize=4)
def networks(listed: str) -> tuple[IPv4Network | IPv6Network, ...]:
    """The networks in a comma-separated list; raises ``ValueError``."""
    return tuple(ip_network(part.strip()) for part in listed.split(",") if part.strip())


def caller_address(peer: str | None, forwarded: str, trusted: str) -> str:
    """The address to count by: the last one in ``forwarded`` that is no trusted proxy, when ``peer`` is one.

    What stands further left anybody could have written. What is no address counts as the peer.
    """
    proxies = networks(trusted)
    first = address = _parsed(peer or "")
    for hop in reversed([part for part in forwarded.split(",") if part.strip()]):
        if not _is_in(address, proxies):
            break
        address = _parsed(hop)
    counted = first if address is None else address
    return "" if counted is None else _counted(counted)


def is_trusted(peer: str | None, trusted: str) -> bool:
    """Whether this peer is a proxy that may say who calls."""
    return _is_in(_parsed(peer or ""), networks(trusted))


def wider(counted: str) -> str:
    """The network around an address to count by."""
    if not counted:
        return counted
    network = ip_network(counted)
    return str(network.supernet(new_prefix=_WIDER[network.version]))


def _parsed(hop: str) -> IPv4Address | IPv6Address | None:
    """The address of a hop as proxies write it: also quoted, in brackets, with a port or a zone."""
    text = hop.strip().strip('"')
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        ip = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return ip.ipv4_mapped or ip if isinstance(ip, IPv6Address) else ip


def _is_in(address: IPv4Address | IPv6Address | None, proxies: tuple[IPv4Network | IPv6Network, ...]) -> bool:
    return address is not None and any(address in network for network in proxies)


def _counted(ip: IPv4Address | IPv6Address) -> str:
    return str(ip) if ip.version == 4 else str(ip_network((ip, _IPV6_PREFIX), strict=False))
