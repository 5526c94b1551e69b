"""Ports of a stack: fixed, or chosen free once and kept from then on."""

from __future__ import annotations

import json
import random
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from infra.local.errors import LocalStackError
from infra.local.files import file_lock, write_private

# Below the range from which the kernel takes ports for outgoing connections: those would take ours while we are down.
_CHOICE: Final = range(20_000, 32_000)

#: Ports that only the components themselves use.
INNER: Final = ("kafka_controller", "weaviate_gossip", "weaviate_data", "weaviate_raft", "weaviate_raft_rpc")


def is_free(port: int) -> bool:
    """Whether nobody listens on the port, on any address of this machine."""
    with socket.socket() as probe:
        # Connections of an earlier run that linger in TIME_WAIT are no obstacle.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
            probe.listen()
        except OSError:
            return False
    return True


async def assign_ports(stacks: Path, stack: str, fixed: Mapping[str, int | None]) -> dict[str, int]:
    """The port of each name in ``fixed`` and :data:`INNER` for a stack that is down.

    Ports chosen before are kept while they are free; ports of other stacks are left alone, also when those are down.
    """
    async with file_lock(stacks / "ports.lock"):
        own = stacks / stack / "ports.json"
        before = json.loads(own.read_text()) if own.exists() else {}
        others = {
            port
            for path in stacks.glob("*/ports.json")
            if path != own
            for port in json.loads(path.read_text()).values()
        }
        ports: dict[str, int] = {}
        for name, port in fixed.items():
            if port is not None:
                if not is_free(port):
                    raise LocalStackError(
                        f"Port {port} is taken by another program: stop that program, or give another port "
                        f"for local.{name} (AGENTMEM_LOCAL_{name.upper()}), or none to have a free one chosen."
                    )
                ports[name] = port
        for name in (*fixed, *INNER):
            if name in ports:
                continue
            kept = before.get(name)
            used = others | set(ports.values())
            ports[name] = kept if kept and kept not in used and is_free(kept) else _choose(used)
        write_private(own, json.dumps(ports, indent=1))
        return ports


def _choose(used: set[int]) -> int:
    candidates = [port for port in _CHOICE if port not in used]
    random.shuffle(candidates)
    for port in candidates:
        if is_free(port):
            return port
    raise LocalStackError(f"No port between {_CHOICE.start} and {_CHOICE.stop} is free: stop some programs.")
