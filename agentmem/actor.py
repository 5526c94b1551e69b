"""Who runs a command, as the audit names them."""

from __future__ import annotations

import getpass
import os
import socket


def actor() -> str:
    """The user of the system and the machine's name."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        user = f"uid {os.getuid()}"
    return f"{user}@{socket.gethostname()}"
