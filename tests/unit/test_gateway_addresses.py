"""Which address a call is counted by."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from gateway.http.addresses import caller_address
from gateway.settings import GatewaySettings


@pytest.mark.parametrize(
    ("peer", "forwarded", "trusted", "address"),
    [
        ("203.0.113.1", "", "", "203.0.113.1"),
        ("203.0.113.1", "198.51.100.7", "", "203.0.113.1"),
        ("203.0.113.1", "198.51.100.7", "10.0.0.0/8", "203.0.113.1"),
        ("10.0.0.1", "198.51.100.7", "10.0.0.0/8", "198.51.100.7"),
        ("10.0.0.1", "1.1.1.1, 198.51.100.7, 10.0.0.2", "10.0.0.0/8", "198.51.100.7"),
        ("10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.0/8", "10.0.0.3"),
        ("10.0.0.1", "", "10.0.0.0/8", "10.0.0.1"),
        ("10.0.0.1", "unknown", "10.0.0.1", "10.0.0.1"),
        ("10.0.0.1", "198.51.100.7, unknown, 10.0.0.2", "10.0.0.0/8", "10.0.0.1"),
        ("10.0.0.1", "198.51.100.7:40001", "10.0.0.0/8", "198.51.100.7"),
        ("10.0.0.1", "198.51.100.7, 10.0.0.2:40001", "10.0.0.0/8", "198.51.100.7"),
        ("10.0.0.1", '"[2001:db8:1:2:3::4]:40001"', "10.0.0.0/8", "2001:db8:1:2::/64"),
        ("10.0.0.1", "[2001:db8:1:2:3::4]", "10.0.0.0/8", "2001:db8:1:2::/64"),
        ("10.0.0.1", "fe80::1%eth0", "10.0.0.0/8", "fe80::/64"),
        ("::ffff:10.0.0.1", "198.51.100.7", "10.0.0.0/8", "198.51.100.7"),
        ("10.0.0.1", "198.51.100.7, ::ffff:10.0.0.2", "10.0.0.0/8", "198.51.100.7"),
        ("2001:db8:1:2:3::4", "", "", "2001:db8:1:2::/64"),
        ("::ffff:203.0.113.1", "", "", "203.0.113.1"),
        (None, "198.51.100.7", "10.0.0.0/8", ""),
    ],
)
def test_the_address_is_the_last_that_no_trusted_proxy_has(
    peer: str | None, forwarded: str, trusted: str, address: str
) -> None:
    assert caller_address(peer, forwarded, trusted) == address


def test_what_a_caller_writes_is_bounded() -> None:
    assert caller_address("10.0.0.1", "x" * 8_000, "10.0.0.1") == "10.0.0.1"


def test_proxies_must_be_networks() -> None:
    with pytest.raises(ValidationError, match="trusted_proxies"):
        GatewaySettings(trusted_proxies="proxy.example")
