"""What the exit code of every ``agentmem`` command means."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """The exit codes, in one place."""

    #: It did what was asked.
    OK = 0
    #: It ran, and something that was asked for failed; a worker gave up; or an error nobody foresaw.
    FAILED = 1
    #: The command line or a setting is wrong.
    USAGE = 2
    #: Kafka, Postgres, Weaviate or the gateway does not answer.
    UNAVAILABLE = 3
    #: What is there does not fit the settings: the model, the schema, an API key.
    MISCONFIGURED = 4
    #: Ctrl-C.
    INTERRUPTED = 130


class CommandError(Exception):
    """Ends a command with one sentence for its user."""

    def __init__(self, message: str, code: ExitCode = ExitCode.FAILED) -> None:
        super().__init__(message)
        self.code = code
