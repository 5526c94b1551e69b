"""Webhooks' signatures, addresses and waits."""

from __future__ import annotations

import socket
from base64 import b64decode

import pytest

from infra.webhooks.addresses import ForbiddenAddressError, check_url, is_public, public_socket
from infra.webhooks.payload import payload
from infra.webhooks.signing import new_secret, signed_headers
from schemas.events import EventType
from schemas.webhooks import EVENT_NAMES
from tests.unit.test_gateway_feeds import added, failed


def test_a_signature_is_that_of_standard_webhooks() -> None:
    # The example of the scheme's own libraries.
    headers = signed_headers(
        ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"],
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        1614265330,
        b'{"test": 2432232314}',
    )
    assert headers == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def test_after_a_rotation_either_secret_opens() -> None:
    one, other = new_secret(), new_secret()
    both = signed_headers([one, other], "id", 1, b"{}")["webhook-signature"].split(" ")
    assert both == [signed_headers([key], "id", 1, b"{}")["webhook-signature"] for key in (one, other)]


def test_secrets_are_long_and_differ() -> None:
    one, other = new_secret(), new_secret()
    assert one != other
    assert len(b64decode(one.removeprefix("whsec_"))) == 32


PRIVATE = [
    "127.0.0.1",
    "127.8.9.10",
    "0.0.0.0",
    "10.0.0.1",
    "172.16.5.4",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "192.0.2.1",
    "198.18.0.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::7f00:1",
    "fe80::1",
    "fe80::1%eth0",
    "fc00::1",
    "fd12::1",
    "fec0::1",
    "ff02::1",
    "64:ff9b::7f00:1",
    "64:ff9b:1::1",
    "2002:7f00:1::1",
    "2001:0:7f00:1::1",
    "2001:db8::1",
]


@pytest.mark.parametrize("address", PRIVATE)
def test_a_private_address_is_no_place_for_webhooks(address: str) -> None:
    assert not is_public(address)
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with pytest.raises(ForbiddenAddressError, match="not public"):
        public_socket((family, socket.SOCK_STREAM, 0, "", (address, 443)))
    host = f"[{address}]" if ":" in address else address
    if "%" not in address:
        with pytest.raises(ValueError, match="private"):
            check_url(f"https://{host}/x", allow_private=False)
        check_url(f"http://{host}/x", allow_private=True)


@pytest.mark.parametrize("address", ["1.1.1.1", "93.184.216.34", "2606:4700::1111", "::ffff:1.1.1.1"])
def test_a_public_address_is_fine(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "x",
        "example.com",
        "http://example.com",
        "ftp://example.com",
        "https://",
        "https:///x",
        "https://user:secret@example.com",
        "https://example.com/#x",
        "https://example.com:0",
        "https://example.com:99999",
        "https://localhost/x",
        "https://a.localhost/x",
        "https://example.com/" + "x" * 2100,
    ],
)
def test_a_url_that_will_not_do(url: str) -> None:
    with pytest.raises(ValueError, match="must"):
        check_url(url, allow_private=False)


def test_a_payload_has_what_mem0s_receivers_read() -> None:
    text = payload(added(text="likes tea"))
    assert '"event_details":{"id":"' in text
    assert '"data":{"memory":"likes tea"},"event":"ADD"' in text
    assert payload(failed()) == failed().document


def test_every_event_type_can_be_asked_for() -> None:
    assert set(EVENT_NAMES.values()) == set(EventType)
