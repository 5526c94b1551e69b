"""What a test of settings or logging finds, and leaves behind."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator

import pytest
import structlog

from agentmem.logs import CHATTY


@pytest.fixture
def no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable of ours in the environment."""
    for name in [name for name in os.environ if name.startswith("AGENTMEM_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def logging_as_before() -> Iterator[None]:
    """Handlers, levels and structlog are afterwards what they were."""
    loggers = [logging.getLogger(name) for name in (None, *CHATTY)]
    root, levels = loggers[0], [logger.level for logger in loggers]
    handlers = root.handlers[:]
    yield
    for made in root.handlers:
        if made not in handlers:
            made.close()
    root.handlers[:] = handlers
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)
    structlog.reset_defaults()
