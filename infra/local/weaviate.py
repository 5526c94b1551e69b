"""Weaviate: one node, built from source with Go."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import aiohttp

from infra.local import tools, versions
from infra.local.cache import PartCache
from infra.local.service import Service

_SOURCE: Final = Path(__file__).parent / "weaviate_build"
_PACKAGE: Final = "github.com/weaviate/weaviate/cmd/weaviate-server"
#: Sources and Go's build cache, as measured, and some room.
_BUILD_MIB: Final = 5_000
_USER: Final = "local"
_ANSWER_WITHIN: Final = aiohttp.ClientTimeout(total=2)


async def build(cache: PartCache) -> Path:
    """The directory that holds the ``weaviate`` binary."""
    recipe = hashlib.sha256((_SOURCE / "go.sum").read_bytes()).hexdigest()[:8]
    name = f"weaviate-{versions.WEAVIATE}-{recipe}"
    log = cache.log_path(name)

    async def compile_it(target: Path) -> None:
        await tools.run_tool(
            (
                *(await tools.go(), "build", "-trimpath", "-buildvcs=false", "-tags", "netgo"),
                *("-ldflags", "-s -w", "-o", str(target / "weaviate"), _PACKAGE),
            ),
            purpose="building Weaviate with Go",
            log=log,
            cwd=_SOURCE,
            env={"CGO_ENABLED": "0", "GOWORK": "off"},
        )

    what = f"Building Weaviate {versions.WEAVIATE} from source, about 3 minutes"
    return await cache.part(name, what, _BUILD_MIB, compile_it)


async def service(home: Path, data: Path, ports: Mapping[str, int], key: str) -> Service:
    """The server over the data directory ``data``; ``key`` is the API key that it asks for.

    It needs one although REST is on loopback: its gRPC listens on all interfaces and can not be told otherwise.
    """
    env = {
        "CLUSTER_HOSTNAME": "node1",
        "CLUSTER_IN_LOCALHOST": "true",
        "CLUSTER_BIND_ADDR": "127.0.0.1",
        "CLUSTER_ADVERTISE_ADDR": "127.0.0.1",
        # With CLUSTER_IN_LOCALHOST the node looks for its peers, itself, at the port after each of these two.
        "CLUSTER_GOSSIP_BIND_PORT": str(ports["weaviate_gossip"]),
        "CLUSTER_DATA_BIND_PORT": str(ports["weaviate_gossip"] + 1),
        "CLUSTER_BASIC_AUTH_USERNAME": _USER,
        "CLUSTER_BASIC_AUTH_PASSWORD": key,
        "RAFT_PORT": str(ports["weaviate_raft"]),
        "RAFT_INTERNAL_RPC_PORT": str(ports["weaviate_raft"] + 1),
        "RAFT_JOIN": f"node1:{ports['weaviate_raft']}",
        "RAFT_BOOTSTRAP_EXPECT": "1",
        # How long it waits for other nodes before it leads: there are none.
        "RAFT_TIMEOUTS_MULTIPLIER": "1",
        "GRPC_PORT": str(ports["weaviate_grpc_port"]),
        "PERSISTENCE_DATA_PATH": str(data),
        "AUTHENTICATION_ANONYMOUS_ACCESS_ENABLED": "false",
        "AUTHENTICATION_APIKEY_ENABLED": "true",
        "AUTHENTICATION_APIKEY_ALLOWED_KEYS": key,
        "AUTHENTICATION_APIKEY_USERS": _USER,
        "DEFAULT_VECTORIZER_MODULE": "none",
        "ENABLE_MODULES": "",
        "API_BASED_MODULES_DISABLED": "true",
        "AUTOSCHEMA_ENABLED": "false",
        "DISABLE_TELEMETRY": "true",
        "GO_PROFILING_DISABLE": "true",
        "LOG_LEVEL": "warning",
    }
    url = f"http://127.0.0.1:{ports['weaviate_port']}/v1/.well-known/ready"

    async def ready() -> bool:
        try:
            async with aiohttp.ClientSession(timeout=_ANSWER_WITHIN) as session, session.get(url) as answer:
                return answer.status == 200
        except (aiohttp.ClientError, TimeoutError):
            return False

    listen = ("--host", "127.0.0.1", "--port", str(ports["weaviate_port"]), "--scheme", "http")
    return Service(name="weaviate", argv=(str(home / "weaviate"), *listen), env=env, ready=ready)
