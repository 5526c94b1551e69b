"""Points at which a test lets a worker die or stand still, to prove that nothing is lost there.

``AGENTMEM_FAILPOINT=after-apply:3:SIGKILL`` sends the process that signal when it passes the point for the third
time. Only a worker that runs from a checkout takes it: an installed release refuses to start.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import distribution
from typing import Final

import orjson

from schemas.problems import MisconfiguredError

VARIABLE: Final = "AGENTMEM_FAILPOINT"
POINTS: Final = ("before-upsert", "after-apply", "after-project", "after-announce", "before-commit")


@dataclass
class _Armed:
    point: str
    passes_left: int
    number: signal.Signals


_armed: _Armed | None = None


def passing(point: str) -> None:
    """Stand at this point: nothing happens, unless a test armed it."""
    if _armed is not None and _armed.point == point:
        _armed.passes_left -= 1
        if _armed.passes_left == 0:
            os.kill(os.getpid(), _armed.number)


def is_checkout() -> bool:
    """Whether AgentMem is installed as a link to a working tree (PEP 610), as no release is."""
    origin = orjson.loads(distribution("agentmem").read_text("direct_url.json") or "{}")
    return bool(origin.get("dir_info", {}).get("editable", False))


def arm(environment: Mapping[str, str], in_checkout: Callable[[], bool] = is_checkout) -> None:
    """Take the point that the environment names, if any; raises ``MisconfiguredError`` in a release."""
    global _armed
    text = environment.get(VARIABLE)
    if text is None:
        return
    if not in_checkout():
        raise MisconfiguredError(f"{VARIABLE} is set: that is for tests in a checkout, unset it.")
    point, passes, name = text.split(":")
    if point not in POINTS:
        raise MisconfiguredError(f"{VARIABLE} names {point}; there are {', '.join(POINTS)}.")
    _armed = _Armed(point, int(passes), signal.Signals[name])
