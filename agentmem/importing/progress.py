"""Progress bars of an import, on a terminal only."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.filesize import decimal
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn
from rich.progress import TimeRemainingColumn as RemainingColumn
from rich.text import Text


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:,.0f}/s")


class _Bytes(ProgressColumn):
    def render(self, task: Task) -> Text:
        size = task.fields.get("size")
        return Text("" if size is None else decimal(size))


class Bar:
    """One bar."""

    def __init__(self, progress: Progress, label: str, total: int | None) -> None:
        self._progress = progress
        self._task = progress.add_task(label, total=total)

    def show(self, completed: int, size: int | None = None) -> None:
        """Set how many are done, and how many bytes that were."""
        self._progress.update(self._task, completed=completed, size=size)

    def step(self) -> None:
        """One more is done."""
        self._progress.advance(self._task)


class Bars:
    """The bars of one import. Use as ``with``."""

    def __init__(self) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            _Rate(),
            _Bytes(),
            RemainingColumn(),
            console=Console(stderr=True),
            disable=not sys.stderr.isatty(),
        )

    def add(self, label: str, total: int | None = None) -> Bar:
        return Bar(self._progress, label, total)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()
