"""How every Kafka client of ours connects: which brokers, whether with TLS, and as whom."""

from __future__ import annotations

import ssl
from typing import Any

from schemas.problems import MisconfiguredError
from streams.settings import KafkaSettings


def client_options(settings: KafkaSettings) -> dict[str, Any]:
    """What each of aiokafka's clients is to be given. Raises ``MisconfiguredError`` for files that will not do."""
    options: dict[str, Any] = {
        "bootstrap_servers": settings.bootstrap_servers,
        "security_protocol": settings.security_protocol,
        "ssl_context": _ssl_context(settings),
    }
    if settings.with_sasl:
        assert settings.sasl_password is not None
        options |= {
            "sasl_mechanism": settings.sasl_mechanism,
            "sasl_plain_username": settings.sasl_username,
            "sasl_plain_password": settings.sasl_password.get_secret_value(),
        }
    return options


def _ssl_context(settings: KafkaSettings) -> ssl.SSLContext | None:
    if not settings.with_tls:
        return None
    try:
        context = ssl.create_default_context(cafile=settings.ssl_ca_file)
        if settings.ssl_cert_file is not None:
            context.load_cert_chain(settings.ssl_cert_file, settings.ssl_key_file)
    except OSError as error:
        raise MisconfiguredError(
            f"kafka.ssl_ca_file, kafka.ssl_cert_file and kafka.ssl_key_file must name PEM files: {error}"
        ) from error
    return context
