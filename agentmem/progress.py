"""How far a long command is, on a terminal only."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task, TextColumn, TimeElapsedColumn
from rich.text import Text


def progress_bar(*, shown: bool = True) -> Progress:
    """A line on stderr for each task, if it is to be ``shown`` and stderr is a terminal. Use as ``with``."""
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        _Count(),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        redirect_stdout=False,  # results stay where they were sent
        disable=not (shown and sys.stderr.isatty()),
    )


class _Count(ProgressColumn):
    """So many, of how many if that is known."""

    def render(self, task: Task) -> Text:
        count = f"{task.completed:,.0f}"
        return Text(count if task.total is None else f"{count} of {task.total:,.0f}")
