"""What the local stack raises when the user has to do something."""

from __future__ import annotations


class LocalStackError(Exception):
    """The stack cannot go on. The message is one or two sentences: what is wrong and what to do about it."""
