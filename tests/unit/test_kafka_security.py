"""Which settings of Kafka's security fit together, and what becomes of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from faust.auth import SASLCredentials, SSLCredentials
from pydantic import ValidationError

from streams.faust_credentials import faust_credentials
from streams.security import client_options
from streams.settings import KafkaSettings

USER = {"sasl_username": "me", "sasl_password": "secret"}


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"security_protocol": "SASL_SSL"}, "needs kafka.sasl_username"),
        ({"security_protocol": "SASL_PLAINTEXT", "sasl_username": "me"}, "kafka.sasl_password"),
        (USER, "a user needs kafka.security_protocol"),
        ({"security_protocol": "SSL", **USER}, "a user needs kafka.security_protocol"),
        ({"ssl_ca_file": "ca.pem"}, "TLS files need kafka.security_protocol"),
        ({"security_protocol": "SASL_PLAINTEXT", "ssl_ca_file": "ca.pem", **USER}, "TLS files need"),
        ({"security_protocol": "TLS"}, "PLAINTEXT"),
    ],
)
def test_settings_that_do_not_fit_together_are_told(fields: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        KafkaSettings(**fields)


def test_without_security_nothing_is_said() -> None:
    options = client_options(KafkaSettings())
    assert options == {
        "bootstrap_servers": "127.0.0.1:9092",
        "security_protocol": "PLAINTEXT",
        "ssl_context": None,
    }
    assert faust_credentials(KafkaSettings()) is None


def test_a_user_is_the_same_for_every_client() -> None:
    settings = KafkaSettings(security_protocol="SASL_SSL", **USER)
    options, credentials = client_options(settings), faust_credentials(settings)
    assert (options["sasl_plain_username"], options["sasl_plain_password"]) == ("me", "secret")
    assert isinstance(credentials, SASLCredentials)
    assert (credentials.username, credentials.password) == ("me", "secret")
    assert credentials.mechanism.value == options["sasl_mechanism"] == "SCRAM-SHA-512"
    assert credentials.protocol.value == options["security_protocol"] == "SASL_SSL"
    assert options["ssl_context"].check_hostname
    assert "secret" not in repr(settings)


def test_tls_alone() -> None:
    credentials = faust_credentials(KafkaSettings(security_protocol="SSL"))
    assert isinstance(credentials, SSLCredentials)
    assert credentials.context.check_hostname


def test_no_client_of_kafka_is_made_without_them(repository: Path) -> None:
    for package in ("agentmem", "agents", "gateway", "streams"):
        for path in (repository / package).rglob("*.py"):
            text = path.read_text()
            for client in ("AIOKafkaProducer(", "AIOKafkaConsumer(", "AIOKafkaAdminClient("):
                assert text.count(client) <= text.count("client_options("), f"{path} makes {client}…)"


def test_every_consumer_is_made_where_it_learns_to_read_what_anybody_may_write(repository: Path) -> None:
    sources = (
        path
        for package in ("agentmem", "agents", "gateway", "streams")
        for path in (repository / package).rglob("*.py")
    )
    makers = {
        path.relative_to(repository).as_posix() for path in sources if "AIOKafkaConsumer(" in path.read_text()
    }
    assert makers == {"streams/consumers.py"}
