"""What ``client_options`` says, in Faust's words."""

from __future__ import annotations

from faust.auth import SASLCredentials, SSLCredentials
from faust.types.auth import CredentialsT

from streams.security import client_options
from streams.settings import KafkaSettings


def faust_credentials(settings: KafkaSettings) -> CredentialsT | None:
    """How Faust connects; None for a connection without TLS and user."""
    options = client_options(settings)
    if settings.with_sasl:
        return SASLCredentials(
            username=options["sasl_plain_username"],
            password=options["sasl_plain_password"],
            ssl_context=options["ssl_context"],
            mechanism=options["sasl_mechanism"],
        )
    return SSLCredentials(options["ssl_context"]) if settings.with_tls else None
