"""What commands print, where it goes to a terminal and where it does not."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from typing import Final

import orjson

from agentmem.output import harmless

TEXT: Final = "a\x1b[31m\x9b2J\x7f\x85\u202e\u2066é\U0001f600"
SCRIPT: Final = f"from agentmem.output import show_json; show_json({{'text': {TEXT!r}}})"


def test_json_on_a_terminal_cannot_drive_it() -> None:
    ours, theirs = pty.openpty()
    try:
        subprocess.run([sys.executable, "-c", SCRIPT], stdout=theirs, check=True)
        # One line is much less than what a terminal holds.
        shown = os.read(ours, 4_096).decode()
    finally:
        os.close(ours)
        os.close(theirs)
    assert [c for c in shown.strip() if not c.isprintable()] == []
    assert "é\U0001f600" in shown
    assert orjson.loads(shown) == {"text": TEXT}


def test_json_elsewhere_is_as_it_was() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, check=True)
    assert done.stdout == orjson.dumps({"text": TEXT}) + b"\n"


def test_what_is_escaped_stays_the_same_document() -> None:
    document = orjson.dumps({"text": "".join(map(chr, range(0x20, 0xD800)))}).decode()
    assert harmless(document) != document
    assert orjson.loads(harmless(document)) == orjson.loads(document)
