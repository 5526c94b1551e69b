"""A producer's trace goes through each stage of a worker, and on with the event."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import orjson

from agentmem.exit_codes import ExitCode
from tests.harness.kafka import Message, caught_up, publish, read_topic
from tests.harness.system import System
from tests.harness.traces import collecting
from tests.harness.workload import message

WITHIN_S = 180
STAGES = ["decode", "embed", "apply", "project", "announce"]
#: By the request that is traced, its stages. A dead letter is announced, and so is the failure of its request.
TRACED = {
    "add": STAGES,
    "other": STAGES,
    "all": STAGES,
    "unfit": ["decode", "announce", "announce"],
    "unreadable": ["decode", "announce"],
}
PRODUCER = bytes(range(8))


def trace_of(request_id: str) -> bytes:
    return request_id.encode().rjust(16, b".")


def traced(one: Message, request_id: str, flags: str = "01") -> Message:
    header = f"00-{trace_of(request_id).hex()}-{PRODUCER.hex()}-{flags}"
    return replace(one, headers=[("traceparent", header.encode())])


def request(request_id: str, op: str, **fields: Any) -> Message:
    return message({"request_id": request_id, "op": op, "user_id": "ana", **fields})


async def test_a_producers_trace_goes_through_each_stage_to_the_event(system: System) -> None:
    async with collecting() as collector:
        await publish(
            system,
            [
                traced(request("add", "add", text="likes tea"), "add"),
                traced(request("other", "add", text="likes trains"), "other"),
                request("untraced", "add", text="likes walks"),
                traced(request("not-wanted", "add", text="likes Bern"), "not-wanted", flags="00"),
                traced(request("all", "delete_all"), "all"),
                traced(request("unfit", "add", text="short", vector=[1.0, 2.0]), "unfit"),
                traced(Message(b"default/user:ana", b"{"), "unreadable"),
            ],
        )
        worker = system.start_worker({"telemetry.otlp_endpoint": collector.endpoint})
        await caught_up(system, WITHIN_S)
        assert await worker.stop() == ExitCode.OK

    whole = {span.trace_id: span for span in collector.spans if span.parent_span_id == PRODUCER}
    assert set(whole) == {trace_of(name) for name in TRACED}
    for name, stages in TRACED.items():
        own = [span for span in collector.spans if span.trace_id == trace_of(name)]
        children = [span for span in own if span.parent_span_id == whole[trace_of(name)].span_id]
        assert Counter(span.name for span in children) == Counter(stages), name
        assert len(own) == 1 + len(children)
    attributes = {pair.key: pair.value.string_value for pair in whole[trace_of("all")].attributes}
    assert (attributes["agentmem.request_id"], attributes["agentmem.op"]) == ("all", "delete_all")

    going_on: dict[str, set[str | None]] = {}
    for event in await read_topic(system, system.topics.events):
        of = str(orjson.loads(event.value or b"")["request_id"])
        going_on.setdefault(of, set()).add(event.header("traceparent"))
    [unwanted] = going_on.pop("not-wanted")
    assert unwanted is not None
    assert unwanted.startswith(f"00-{trace_of('not-wanted').hex()}-")
    assert unwanted.endswith("-00")
    assert going_on.pop("untraced") == {None}
    assert going_on == {
        name: {f"00-{trace_of(name).hex()}-{whole[trace_of(name)].span_id.hex()}-01"}
        for name in ("add", "other", "all", "unfit")
    }
