"""Which settings of Kafka's security fit together, and what becomes of them."""

from __future__ import annotations

import ast
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


def _makers(repository: Path, client: str) -> dict[str, list[ast.Call]]:
    """The files of the product that make this client, or one of a class derived from it, each with the calls."""
    makers = {}
    for package in ("agentmem", "agents", "gateway", "streams"):
        for path in (repository / package).rglob("*.py"):
            nodes = list(ast.walk(ast.parse(path.read_text())))
            classes = [node for node in nodes if isinstance(node, ast.ClassDef)]
            names = {client} | {made.name for made in classes if client in map(ast.unparse, made.bases)}
            calls = [node for node in nodes if isinstance(node, ast.Call) and ast.unparse(node.func) in names]
            if calls:
                makers[path.relative_to(repository).as_posix()] = calls
    return makers


@pytest.mark.parametrize("client", ["AIOKafkaProducer", "AIOKafkaConsumer", "AIOKafkaAdminClient"])
def test_no_client_of_kafka_is_made_without_them(repository: Path, client: str) -> None:
    makers = _makers(repository, client)
    assert makers, f"nobody makes {client}: this test looks in the wrong place"
    for path, calls in makers.items():
        for call in calls:
            spread = [ast.unparse(keyword.value) for keyword in call.keywords if keyword.arg is None]
            assert any(value.startswith("client_options(") for value in spread), f"{path}:{call.lineno}: {client}"


def test_every_consumer_is_made_where_it_learns_to_read_what_anybody_may_write(repository: Path) -> None:
    assert set(_makers(repository, "AIOKafkaConsumer")) == {"streams/consumers.py"}
