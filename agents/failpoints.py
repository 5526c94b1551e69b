"""Points at which a test lets a process die or stand still, to prove that nothing is lost there.

``AGENTMEM_FAILPOINT=after-apply:3:SIGKILL`` sends the process that signal when it passes the point for the third
time; several are separated by commas. Only a checkout takes it: an installed release refuses to start.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import distribution
from typing import Final

import orjson

from schemas.problems import MisconfiguredError

VARIABLE: Final = "AGENTMEM_FAILPOINT"
#: Within the transaction of a worker's batch, which has written all and holds its locks.
IN_TRANSACTION: Final = "in-transaction"
#: Between the stages of a worker.
BOUNDARIES: Final = (
    "after-apply",
    "before-upsert",
    "after-upsert",
    "after-project",
    "after-announce",
    "before-commit",
)
#: Of a rebuild, whose new collection serves by then.
REBUILT: Final = ("after-switch", "before-drop", "after-drop")
POINTS: Final = (IN_TRANSACTION, *BOUNDARIES, *REBUILT)


@dataclass
class _Armed:
    point: str
    passes_left: int
    number: signal.Signals


_all: list[_Armed] = []


def passing(point: str) -> None:
    """Stand at this point: nothing happens, unless a test armed it."""
    for armed in _all:
        if armed.point == point:
            armed.passes_left -= 1
            if armed.passes_left == 0:
                # To the thread that stands here: another one may take a signal to the process a moment later.
                signal.pthread_kill(threading.get_ident(), armed.number)


def is_checkout() -> bool:
    """Whether AgentMem is installed as a link to a working tree (PEP 610), as no release is."""
    origin = orjson.loads(distribution("agentmem").read_text("direct_url.json") or "{}")
    return bool(origin.get("dir_info", {}).get("editable", False))


def arm(environment: Mapping[str, str], in_checkout: Callable[[], bool] = is_checkout) -> None:
    """Take the points that the environment names, if any; raises ``MisconfiguredError`` in a release."""
    text = environment.get(VARIABLE)
    if text is None:
        return
    if not in_checkout():
        raise MisconfiguredError(f"{VARIABLE} is set: that is for tests in a checkout, unset it.")
    for part in text.split(","):
        point, passes, name = part.split(":")
        if point not in POINTS:
            raise MisconfiguredError(f"{VARIABLE} names {point}; there are {', '.join(POINTS)}.")
        _all.append(_Armed(point, int(passes), signal.Signals[name]))
