"""Running the checks side by side, each bounded in time, none able to hide another."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import TypeVar

from agentmem.doctor.findings import Check, Finding, Status, failed, skipped
from agentmem.exit_codes import ExitCode
from schemas.problems import BatchRejectedError, MisconfiguredError, StoreUnavailableError

T = TypeVar("T")

Findings = Mapping[str, Sequence[Finding]]


async def examine(checks: Iterable[Check], limit_s: float) -> Findings:
    """What each check found, by its name and in the order given; each may take ``limit_s`` seconds."""
    tasks: dict[str, asyncio.Task[list[Finding]]] = {}

    async def run(check: Check) -> list[Finding]:
        for need in check.needs:
            if any(found.status in (Status.FAILED, Status.SKIPPED) for found in await tasks[need]):
                return skipped(f"not checked: it needs {need}")
        return await _look(check, limit_s)

    # All are made before the first one runs, so each finds the task of what it needs.
    for check in checks:
        tasks[check.name] = asyncio.create_task(run(check))
    return {name: await task for name, task in tasks.items()}


async def _look(check: Check, limit_s: float) -> list[Finding]:
    try:
        async with asyncio.timeout(limit_s):
            return await check.look()
    except TimeoutError:
        remedy = f"{check.remedy}, or give it longer with --timeout"
        return [failed(f"no answer within {limit_s:g} s", remedy, ExitCode.UNAVAILABLE)]
    except StoreUnavailableError as error:
        return [failed(str(error), check.remedy, ExitCode.UNAVAILABLE)]
    except (MisconfiguredError, BatchRejectedError) as error:
        return [failed(str(error), check.remedy)]
    except Exception as error:  # noqa: BLE001 (whatever breaks one check must not hide the others)
        problem = f"the check itself failed: {type(error).__name__}: {error}"
        return [failed(problem, "report this", ExitCode.FAILED)]


async def on_thread(work: Callable[[], T]) -> T:
    """Run what blocks on a thread that is left behind when it takes too long: nothing waits for its end."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def settle(set_it: Callable[[], None]) -> None:
        if not done.done():
            set_it()

    def run() -> None:
        try:
            set_it: Callable[[], None] = partial(done.set_result, work())
        except BaseException as error:  # noqa: BLE001 (handed to who waits)
            set_it = partial(done.set_exception, error)
        with suppress(RuntimeError):  # the loop has ended: nobody waits any more
            loop.call_soon_threadsafe(settle, set_it)

    threading.Thread(target=run, daemon=True).start()
    return await done


def exit_code(findings: Findings) -> ExitCode:
    """OK when nothing failed; else the code that all failures share, and FAILED when they differ."""
    codes = {found.code for part in findings.values() for found in part if found.status is Status.FAILED}
    if not codes:
        return ExitCode.OK
    return codes.pop() if len(codes) == 1 else ExitCode.FAILED
