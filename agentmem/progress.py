"""How far a long command is, on a terminal only."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn


def progress_bar(*, shown: bool = True) -> Progress:
    """A line on stderr for each task, if it is to be ``shown`` and stderr is a terminal. Use as ``with``."""
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:,.0f}"),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        disable=not (shown and sys.stderr.isatty()),
    )
