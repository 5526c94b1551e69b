"""Changing the value of a dead letter before it is replayed."""

from __future__ import annotations

from typing import Any

import click
import orjson

from agentmem.exit_codes import CommandError
from streams.dead_letter_log import DeadLetter


def patched(letter: DeadLetter, patch: dict[str, Any]) -> bytes:
    """The value with a JSON merge patch (RFC 7396) applied. Raises ``CommandError`` if it is no JSON object."""
    if not isinstance(letter.document, dict):
        raise CommandError(f"{letter.id} holds no JSON object that could be patched: use --edit")
    return orjson.dumps(merged(letter.document, patch))


def merged(target: Any, patch: Any) -> Any:
    """RFC 7396: members of the patch replace the target's, and null removes them."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merged(result.get(name), value)
    return result


def edited(letter: DeadLetter) -> bytes:
    """The value as the user's editor leaves it. Raises ``CommandError`` when it is left as it was."""
    value = letter.record.value or b""
    if letter.document is not None:
        value = orjson.dumps(letter.document, option=orjson.OPT_INDENT_2)
    text = click.edit(value.decode(errors="replace"), extension=".json")
    if text is None:
        raise CommandError(f"{letter.id} was not changed, so nothing was replayed")
    return text.strip().encode()
