"""Logging of the long-running commands: structured lines, on stderr or in a file that is rotated."""

from __future__ import annotations

import logging
import sys
import time
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
#: How often one and the same message of those is shown in a period, in seconds: aiokafka tells of a broker that is
#: away a hundred times a second.
_SHOWN: Final = 5
_PERIOD_S: Final = 60.0
#: Different messages that are counted; they are the libraries' own, so they are few.
_COUNTED: Final = 1_000


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
    handler.addFilter(Repetitions())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    set_level(settings.level)


def set_level(level: str) -> None:
    """Show what is of this level or above; at any time."""
    logging.getLogger().setLevel(level.upper())
    for name in CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING if level == "info" else logging.NOTSET)


class Repetitions(logging.Filter):
    """Holds back what a library repeats without end; the next one shown says how many it held back."""

    def __init__(self) -> None:
        super().__init__()
        self._seen: dict[tuple[str, object], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if record.name.partition(".")[0] not in CHATTY:
            return True
        now = time.monotonic()
        # Before its arguments are put in: these differ from one to the next.
        key = record.name, record.msg
        began, count = self._seen.get(key, (now, 0))
        if now - began >= _PERIOD_S:
            if count > _SHOWN:
                record.msg = (
                    f"{record.getMessage()} ({count - _SHOWN} more like this in the last {now - began:.0f} s)"
                )
                record.args = None
            began, count = now, 0
        if len(self._seen) >= _COUNTED:
            self._seen.clear()
        self._seen[key] = began, count + 1
        return count < _SHOWN


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
