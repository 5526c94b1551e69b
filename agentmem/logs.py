"""Logging of the long-running commands: structured lines, on stderr or in a file that is rotated."""

from __future__ import annotations

import logging
import sys
from logging.handlers import RotatingFileHandler
from typing import TYPE_CHECKING, Final

import structlog

from schemas.problems import MisconfiguredError

if TYPE_CHECKING:
    from structlog.typing import Processor

    from agentmem.settings import LogSettings

_MIB: Final = 1024 * 1024

#: Libraries that tell at ``info`` what is of use only to who looks for a fault in them.
CHATTY: Final = ("aiokafka", "alembic", "faust", "httpx", "mode")


def configure_logging(settings: LogSettings) -> None:
    """Send structlog's events and the standard library's records through one formatter to one place.

    Raises ``MisconfiguredError`` when the log file cannot be written.
    """
    handler = _handler(settings)
    on_terminal = settings.file is None and sys.stderr.isatty()
    as_text = settings.format == "text" or (settings.format == "auto" and on_terminal)
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    final: list[Processor] = (
        [structlog.dev.ConsoleRenderer(colors=on_terminal)]
        if as_text
        else [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *final],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    set_level(settings.level)


def set_level(level: str) -> None:
    """Show what is of this level or above; at any time."""
    logging.getLogger().setLevel(level.upper())
    for name in CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING if level == "info" else logging.NOTSET)


def _handler(settings: LogSettings) -> logging.Handler:
    if settings.file is None:
        return logging.StreamHandler(sys.stderr)
    try:
        return RotatingFileHandler(
            settings.file, maxBytes=settings.max_mib * _MIB, backupCount=settings.backups, encoding="utf-8"
        )
    except OSError as error:
        raise MisconfiguredError(
            f"the log file {settings.file} cannot be written ({error.strerror}): set log.file to another path, "
            "or to none for stderr"
        ) from error
