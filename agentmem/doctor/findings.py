"""What a check finds, and what it is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum

from agentmem.exit_codes import ExitCode


class Status(StrEnum):
    """How it stands with what was looked at."""

    OK = "ok"
    #: It works, but not as it should, or not for long.
    WARNING = "warning"
    FAILED = "failed"
    #: It was not looked at, because something else is in the way or it is not in use.
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing found: ``detail`` says what is, ``remedy`` what to do about it. ``code`` counts for a failure."""

    status: Status
    detail: str
    remedy: str = ""
    code: ExitCode = ExitCode.FAILED


def ok(detail: str) -> list[Finding]:
    """All is well."""
    return [Finding(Status.OK, detail)]


def skipped(detail: str, remedy: str = "") -> list[Finding]:
    """Not looked at."""
    return [Finding(Status.SKIPPED, detail, remedy)]


def warning(detail: str, remedy: str) -> Finding:
    """It works, but."""
    return Finding(Status.WARNING, detail, remedy)


def failed(detail: str, remedy: str, code: ExitCode = ExitCode.MISCONFIGURED) -> Finding:
    """It does not work."""
    return Finding(Status.FAILED, detail, remedy, code)


@dataclass(frozen=True, slots=True)
class Check:
    """One thing to look at.

    ``look`` may raise what the stores raise; ``remedy`` is what to do when its component does not answer.
    It is not looked at when one of the checks that it ``needs`` failed.
    """

    name: str
    look: Callable[[], Awaitable[list[Finding]]]
    remedy: str = ""
    needs: tuple[str, ...] = ()
