"""``agentmem rebuild``: what its dry run says is what it does."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from agentmem.exit_codes import ExitCode
from agents import failpoints
from infra.postgres import Database, PostgresSettings
from infra.postgres.collections import CollectionState
from infra.weaviate import WeaviateSettings
from tests.acceptance.command import Agentmem

_OTHER = "a model that nobody runs any more"


@pytest.fixture
def database(postgres_settings: PostgresSettings) -> Iterator[Database]:
    with closing(Database(postgres_settings)) as opened:
        yield opened


def test_a_dry_run_says_what_would_be_done(
    configured: Agentmem, database: Database, weaviate_settings: WeaviateSettings
) -> None:
    base = weaviate_settings.collection

    def rebuild(*arguments: str) -> dict[str, Any]:
        result = configured("rebuild", "--keep", "0", "--json", *arguments)
        assert result.code == ExitCode.OK, result.err
        document: dict[str, Any] = json.loads(result.out)
        return document

    def states() -> dict[str, str]:
        return {one.name: one.state for one in database.collections.of(base)}

    def planned(*arguments: str) -> tuple[bool, str | None, list[str]]:
        before = states()
        plan = rebuild("--dry-run", *arguments)
        assert states() == before == {one["name"]: one["state"] for one in plan["collections"]}
        return plan["would_build"], plan["collection"], plan["would_drop"]

    # Nothing is there.
    assert planned() == (True, None, [])
    first = rebuild()["collection"]
    assert planned() == (True, None, [first])

    # One was killed when it had written down its name, and it is given up.
    [serving] = database.collections.of(base)
    begun = f"{base}_begun"
    database.collections.register(begun, base, serving.model, CollectionState.PLANNED)
    assert planned() == (True, begun, [first])
    told = configured("rebuild", "--dry-run").out
    assert f"would go on with {begun}\nwould drop: {first}\n" in told
    assert planned("--abandon") == (False, None, [begun])
    assert rebuild("--abandon")["dropped"] == [begun]
    assert states() == {first: CollectionState.SERVING}

    # Another was killed after the switch: only the clearing up is left.
    killed = configured.with_environment(**{failpoints.VARIABLE: "after-switch:1:SIGKILL"})("rebuild")
    assert killed.code == -signal.SIGKILL
    [second] = [name for name, state in states().items() if state == CollectionState.SERVING]
    assert planned() == (False, second, [first])
    assert rebuild()["dropped"] == [first]

    database.collections.register(f"{base}_other", base, _OTHER, CollectionState.SERVING)
    assert planned("--drop-other-models") == (False, None, [f"{base}_other"])
    assert rebuild("--drop-other-models")["dropped"] == [f"{base}_other"]
    assert states() == {second: CollectionState.SERVING}
