"""What is left of contents after their person was forgotten."""

from __future__ import annotations

from typing import Any, Final

#: In the place of a text. An event that is announced again has its id of before, and this.
REDACTED: Final = "[forgotten]"
#: In the place of the speaker's role, which may be any word.
REDACTED_ROLE: Final = "user"


def redact_event(document: dict[str, Any]) -> None:
    """Take the contents out of an event's document, in place: of what a webhook is told, too."""
    data = document["data"]
    if data.get("memory") is not None:
        data["memory"] |= {"text": REDACTED, "role": REDACTED_ROLE, "name": None, "metadata": {}}
    if data.get("previous_text") is not None:
        data["previous_text"] = REDACTED
    if data.get("detail") is not None:
        data["detail"] = None
    if "event_details" in document:
        document["event_details"]["data"] = {"memory": REDACTED}
