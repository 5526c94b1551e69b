"""For how long Kafka may still hold what it holds now."""

from __future__ import annotations

from datetime import datetime, timedelta

from streams.inspection import TopicState

_MINUTE_MS = 60_000
#: Kafka looks for what is old every five minutes, and removes files a minute later.
_SLACK_MS = 6 * _MINUTE_MS


def kept_until(topic: TopicState, now: datetime) -> datetime | None:
    """When the last of the records that the topic holds now is gone; None: its settings do not say.

    Kafka removes whole segments, each when its last record is old enough: so a record may stay as long again as a
    segment may take to fill.
    """
    retention, segment = int(topic.configs["retention.ms"]), int(topic.configs["segment.ms"])
    if retention < 0 or "delete" not in topic.configs["cleanup.policy"]:
        return None
    try:
        return now + timedelta(milliseconds=retention + segment + _SLACK_MS)
    except OverflowError:
        return None
