"""The gateway does what its OpenAPI document says: schemathesis makes all of its calls, rightly and wrongly."""

from __future__ import annotations

import asyncio
import json
import random
import re
import sys
from asyncio.subprocess import PIPE, STDOUT
from collections import Counter
from pathlib import Path
from string import Template
from typing import Any

import pytest
from joserfc.jwk import OKPKey

from gateway.openapi.operation import operation_of
from gateway.routes import ALL
from gateway.settings import GatewaySettings
from infra.telemetry.metrics import HTTP_REQUESTS
from tests.integration.gateway_world import SETTINGS, World

SECONDS = 60
#: Streams have no end to wait for. Of keys that it is shown it would end the one that it calls with. And this path
#: looks like that of a memory, which takes other methods too; ``POST /reset`` is the same call.
NOT_CALLED = ("get_v1_events_stream", "get_v1_events_ws", "get_v1_keys", "delete_v1_memories_reset")
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "unsupported_method",
    "allow_header_conformance",
    "ignored_auth",
)
CONFIG = Template("""
[dictionaries]
memories = { values = ["$memory"] }
webhooks = { values = ["$webhook"] }
events = { values = ["$event"] }
projects = { values = ["ours"] }
organisations = { values = ["agentmem"] }

[parameters]
"path.memory_id" = { dictionary = "memories", probability = 0.5 }
"path.webhook_id" = { dictionary = "webhooks", probability = 0.5 }
"path.event_id" = { dictionary = "events", probability = 0.5 }
"path.project_id" = { dictionary = "projects", probability = 0.7 }
"path.project" = { dictionary = "projects", probability = 0.7 }
"path.organisation" = { dictionary = "organisations", probability = 0.9 }
""")


@pytest.fixture
def gateway_settings(tmp_path: Path) -> GatewaySettings:
    """As in all tests, and it issues tokens."""
    keys = tmp_path / "keys.json"
    keys.write_text(json.dumps({"keys": [OKPKey.generate_key("Ed25519", {"kid": "k1"}).as_dict(private=True)]}))
    return SETTINGS.model_copy(update={"token_keys_file": keys})


async def test_every_answer_is_documented(world: World, tmp_path: Path) -> None:
    document, config = tmp_path / "openapi.json", tmp_path / "schemathesis.toml"
    document.write_text(json.dumps(closed(await world.call("GET", "/openapi.json"))))
    config.write_text(CONFIG.substitute(await known(world)))
    before = succeeded()
    seed = random.randrange(2**32)
    process = await asyncio.create_subprocess_exec(
        *(str(Path(sys.executable).parent / "schemathesis"), "--config-file", str(config), "run"),
        *(str(document), "--url", str(world.client.make_url(""))),
        *("--header", f"Authorization: Token {world.token}", "--checks", ",".join(CHECKS)),
        *(part for id in NOT_CALLED for part in ("--exclude-operation-id", id)),
        *("--max-time", str(SECONDS), "--request-timeout", "60", "--continue-on-failure"),
        *("--suppress-health-check", "all"),  # how fast calls are made up says nothing about the gateway
        *("--seed", str(seed), "--no-color", "--warnings", "off"),
        stdout=PIPE,
        stderr=STDOUT,
        cwd=tmp_path,
    )
    try:
        output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    print(output.decode())  # with the seed
    assert process.returncode == 0
    # The key was good to the end, and what was asked was not only refused.
    await world.call("GET", "/v1/ping/")
    can = {route.path for route in ALL if operation_of(route.handler).answers and route.scope is not None}
    answered = set(succeeded() - before)
    assert len(can & answered) > len(can) / 2, can - answered


def closed(document: dict[str, Any]) -> dict[str, Any]:
    """The document, but answers may have no field that it does not name."""
    schemas = document["components"]["schemas"]
    waiting = [one["responses"] for path in document["paths"].values() for one in path.values()]
    seen: set[str] = set()
    while waiting:
        for name in set(re.findall('#/components/schemas/([^"]+)', json.dumps(waiting.pop()))) - seen:
            seen.add(name)
            waiting.append(schemas[name])
            if "properties" in schemas[name]:
                schemas[name].setdefault("additionalProperties", False)
    return document


async def known(world: World) -> dict[str, str]:
    """Ids that there are."""
    added = await world.add("I play the violin", metadata={"instrument": "violin"})
    await world.call("PUT", f"/v1/memories/{added['results'][0]['id']}/", {"text": "I play the viola"})
    body = {"name": "mine", "url": "https://example.com/hook"}
    webhook = await world.call("POST", "/api/v1/webhooks/projects/ours/", body)
    return {
        "memory": added["results"][0]["id"],
        "event": added["event_id"],
        "webhook": webhook["webhook_id"],
    }


def succeeded() -> Counter[str]:
    """How often each path has answered a call as it was asked, in this process."""
    counts: Counter[str] = Counter()
    for sample in (sample for family in HTTP_REQUESTS.collect() for sample in family.samples):
        if sample.name.endswith("_total") and sample.labels["status"] in ("200", "201"):
            counts[sample.labels["route"]] += int(sample.value)
    return counts
