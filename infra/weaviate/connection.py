"""The connection to Weaviate: one client that can be opened again after a failure."""

from __future__ import annotations

from urllib.parse import urlsplit

from weaviate import WeaviateAsyncClient
from weaviate.classes.init import AdditionalConfig, Auth, GrpcConfig, Proxies, Timeout
from weaviate.connect import ConnectionParams

from infra.weaviate.settings import WeaviateSettings


def make_client(settings: WeaviateSettings) -> WeaviateAsyncClient:
    """A client that is not connected yet."""
    address = urlsplit(settings.url)
    secure = address.scheme == "https"
    grpc_host, _, grpc_port = settings.grpc.rpartition(":")
    return WeaviateAsyncClient(
        ConnectionParams.from_params(
            http_host=address.hostname or "",
            http_port=address.port or (443 if secure else 80),
            http_secure=secure,
            grpc_host=grpc_host,
            grpc_port=int(grpc_port),
            grpc_secure=secure,
        ),
        auth_client_secret=Auth.api_key(settings.api_key.get_secret_value()) if settings.api_key else None,
        additional_config=AdditionalConfig(
            # With TLS, SSL_CERT_FILE may name the authority. The client's own reading of proxies from the
            # environment knows no NO_PROXY: the HTTP library beneath it does.
            trust_env=secure,
            proxies=Proxies(),
            timeout=Timeout(
                init=settings.connect_timeout_s,
                query=settings.query_timeout_s,
                insert=settings.write_timeout_s,
            ),
            # gRPC waits up to two minutes between attempts by default, long after Weaviate is back.
            grpc_config=GrpcConfig(
                channel_options=[
                    ("grpc.initial_reconnect_backoff_ms", 200),
                    ("grpc.min_reconnect_backoff_ms", 200),
                    ("grpc.max_reconnect_backoff_ms", 2_000),
                ]
            ),
        ),
        # The checks look for a newer client on the internet.
        skip_init_checks=True,
    )
