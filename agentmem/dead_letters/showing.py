"""Dead letters on a terminal and as JSON. They may hold any bytes, and some were sent to do harm."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import orjson

from agentmem.dead_letters.selection import Listed
from agentmem.output import visible
from schemas.times import format_instant
from streams.dead_letter_log import DeadLetter

COLUMNS = ("id", "time", "reason", "stage", "project", "request_id", "source", "handled")


def summary(listed: Listed) -> dict[str, Any]:
    """What a list says of one."""
    letter = listed.letter
    return {
        "id": letter.id,
        "time": format_instant(letter.at),
        "reason": letter.reason,
        "stage": letter.stage,
        "project": letter.project,
        "request_id": letter.request_id,
        "source": letter.source,
        "handled": listed.handled and listed.handled.action.rpartition(".")[2],
    }


def document(listed: Listed) -> dict[str, Any]:
    """All of one, as JSON values: bytes that are no UTF-8 are in base64."""
    letter, done = listed.letter, listed.handled
    return summary(listed) | {
        "detail": letter.detail,
        "handled_by": done and {"actor": done.actor, "at": done.recorded_at, **done.detail},
        "headers": [[name, _json(value)] for name, value in letter.own_headers],
        "key": _json(letter.record.key),
        "value": _json(letter.record.value),
    }


def lines(listed: Listed) -> list[str]:
    """All of one, for people."""
    letter = listed.letter
    head = summary(listed) | {"detail": letter.detail}
    if listed.handled is not None:
        head["handled"] += f" by {listed.handled.actor} at {listed.handled.recorded_at}"
    return [
        *(f"{name}: {'' if value is None else visible(str(value))}" for name, value in head.items()),
        *(f"header {visible(name)}: {_text(value)}" for name, value in letter.own_headers),
        f"key: {_text(letter.record.key)}",
        _value(letter),
    ]


def _value(letter: DeadLetter) -> str:
    if not letter.is_whole:
        return "value: too large to be kept here"
    if letter.document is None:
        return f"value: {_text(letter.record.value)}"
    return "value:\n" + visible(orjson.dumps(letter.document, option=orjson.OPT_INDENT_2).decode())


def _text(data: bytes | None) -> str:
    return "(none)" if data is None else visible(data.decode(errors="backslashreplace"))


def _json(data: bytes | None) -> Any:
    if data is None:
        return None
    try:
        return data.decode()
    except UnicodeDecodeError:
        return {"base64": b64encode(data).decode()}
