"""Calls byte for byte, as no client would make them, and what every answer to one has to be."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import orjson

from gateway.openapi.document import openapi_document
from gateway.routes import ALL
from tests.integration.gateway_world import Client

DOCUMENT = openapi_document(ALL)
#: Of a path or method that is not there: no operation has them.
NO_OPERATION = {404, 405}
_SECONDS = 60


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes


async def say(client: Client, call: bytes) -> Answer:
    """Send these bytes on a connection of their own; the answer to the first call in them."""
    async with asyncio.timeout(_SECONDS):
        reader, writer = await asyncio.open_connection(client.host, client.port)
        try:
            writer.write(call)
            await writer.drain()
            while True:
                lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
                status = int(lines[0].split(" ")[1])
                if status != 100:
                    break
            pairs = (line.partition(":") for line in lines[1:] if line)
            headers = {name.lower(): value.strip() for name, _, value in pairs}
            body = await reader.readexactly(int(headers.get("content-length", 0)))
            return Answer(status, headers, body)
        finally:
            writer.close()


def call(method: str, path: str, headers: Iterable[tuple[str, bytes]] = (), body: bytes | None = None) -> bytes:
    """The bytes of a call."""
    given = {name.lower() for name, _ in headers}
    lines = [f"{method} {path} HTTP/1.1".encode(), *(name.encode() + b": " + value for name, value in headers)]
    if "host" not in given:
        lines.append(b"Host: localhost")
    if body is not None and not given & {"content-length", "transfer-encoding"}:
        lines.append(b"Content-Length: %d" % len(body))
    return b"\r\n".join([*lines, b"Connection: close", b"", body or b""])


def check(answer: Answer, method: str, path: str) -> None:
    """A success, or a problem that the documents name; never a fault of ours, and nothing of our insides."""
    described = DOCUMENT["paths"][path][method.lower()]["responses"]
    assert str(answer.status) in described or answer.status in NO_OPERATION, answer
    assert answer.status not in (500, 501), answer
    assert answer.headers["x-request-id"], answer
    if answer.status >= 400:
        check_problem(answer)


def check_problem(answer: Answer) -> dict[str, Any]:
    """The problem; all that one has is there."""
    assert answer.headers["content-type"].startswith("application/problem+json"), answer
    problem: dict[str, Any] = orjson.loads(answer.body)
    assert problem["status"] == answer.status
    assert problem["detail"] == problem["error"] != ""
    assert problem["code"]
    assert problem["request_id"] == answer.headers["x-request-id"]
    for inside in (b"Traceback", b'File "', b"site-packages", b"psycopg", b"sqlalchemy", b"pydantic"):
        assert inside not in answer.body, answer
    return problem
