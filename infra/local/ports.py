"""Ports of a stack: fixed, or chosen free once and kept from then on."""

from __future__ import annotations

import asyncio
import json
import random
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from infra.local.errors import LocalStackError
from infra.local.files import file_lock, find, write_private

# Below the range from which the kernel takes ports for outgoing connections: those would take ours while we are
# down. Odd numbers, so that the next one is ours too.
_CHOICE: Final = range(20_001, 32_000, 2)

#: Ports that only the components themselves use. Weaviate takes the next number after each of its own, too.
INNER: Final = ("kafka_controller", "weaviate_gossip", "weaviate_raft")


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


async def accepts(port: int) -> bool:
    """Whether somebody takes connections on this port of the loopback address."""
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


def _is_pair_free(port: int) -> bool:
    return is_free(port) and is_free(port + 1)


async def assign_ports(stacks: Path, stack: str, fixed: Mapping[str, int | None]) -> dict[str, int]:
    """The port of each name in ``fixed`` and :data:`INNER` for a stack that is down.

    Ports chosen before are kept while they are free; those of other stacks are left alone, also while these are
    down. The port after an inner one is free, too.
    """
    async with file_lock(stacks / "ports.lock"):
        own = stacks / stack / "ports.json"
        known = {path: json.loads(path.read_text()) for path in find(stacks, "*/ports.json")}
        before = known.pop(own, {})
        others = {port for ports in known.values() for port in ports.values()}
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
            ports[name] = kept if kept and kept not in used and _is_pair_free(kept) else _choose(used)
        write_private(own, json.dumps(ports, indent=1))
        return ports


def _choose(used: set[int]) -> int:
    candidates = [port for port in _CHOICE if port not in used]
    random.shuffle(candidates)
    for port in candidates:
        if _is_pair_free(port):
            return port
    raise LocalStackError(f"No port between {_CHOICE.start} and {_CHOICE.stop} is free: stop some programs.")
