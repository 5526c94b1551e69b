"""Whether the components that the gateway needs answer: looked at in the background, told at once."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from gateway.settings import GatewaySettings
from infra.telemetry.metrics import COMPONENT_UP
from schemas.problems import MisconfiguredError, StoreUnavailableError

log = logging.getLogger(__name__)

#: Returns when the component answers; raises ``StoreUnavailableError`` when it does not.
Probe = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Health:
    """What the last look at a component found: how fast it answered, or why it did not."""

    up: bool
    latency_ms: float | None = None
    problem: str | None = None


class HealthMonitor:
    """Looks at each component again and again. A health call never waits for a component itself."""

    def __init__(self, probes: Mapping[str, Probe], settings: GatewaySettings) -> None:
        self._probes = probes
        self._settings = settings
        self.components: dict[str, Health] = {name: Health(up=False) for name in probes}

    @property
    def ready(self) -> bool:
        """Whether every component is up."""
        return all(health.up for health in self.components.values())

    async def run(self) -> None:
        """Look until cancelled."""
        await asyncio.gather(*(self._watch(name, probe) for name, probe in self._probes.items()))

    async def _watch(self, name: str, probe: Probe) -> None:
        while True:
            health = await self._look(probe)
            if health.up and not self.components[name].up:
                log.info("%s is up", name)
            elif health.problem != self.components[name].problem:
                log.warning("%s is down: %s", name, health.problem)
            COMPONENT_UP.labels(name).set(health.up)
            self.components[name] = health
            await asyncio.sleep(self._settings.probe_interval_s)

    async def _look(self, probe: Probe) -> Health:
        started, timeout_s = time.perf_counter(), self._settings.probe_timeout_s
        try:
            async with asyncio.timeout(timeout_s):
                await probe()
        except TimeoutError:
            return Health(False, problem=f"no answer within {timeout_s:g} s")
        except (StoreUnavailableError, MisconfiguredError) as error:
            return Health(False, problem=str(error))
        return Health(True, round((time.perf_counter() - started) * 1000, 2))
