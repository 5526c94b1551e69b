"""Weaviate's gRPC behind a proxy that understands it: slow answers, lost answers, objects refused one by one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from random import Random
from typing import Any

import grpc  # type: ignore[import-untyped]
from grpc.aio import AioRpcError  # type: ignore[import-untyped]
from weaviate.proto.v1 import batch_pb2

_BATCH = "/weaviate.v1.Weaviate/BatchObjects"
_LIMITS = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


class WeaviateProxy:
    """Forwards each call; what is set below holds for batches of objects."""

    def __init__(self, target: str, random: Random) -> None:
        self._target = target
        self._random = random
        self.port = 0
        #: Seconds until a batch is forwarded, and until its answer is.
        self.before_s = self.after_s = 0.0
        #: Which part of the objects is not forwarded but refused.
        self.refused = 0.0
        self.refusal = "shard is read-only: memory usage is too high"
        #: Batches seen, objects refused.
        self.batches = self.refusals = 0

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[WeaviateProxy]:
        """Take calls while the block runs."""
        async with grpc.aio.insecure_channel(self._target, options=_LIMITS) as channel:
            server = grpc.aio.server(options=_LIMITS)
            server.add_generic_rpc_handlers((_Handler(partial(self._call, channel)),))
            self.port = server.add_insecure_port("127.0.0.1:0")
            await server.start()
            try:
                yield self
            finally:
                await server.stop(None)

    async def _call(self, channel: Any, method: str, request: bytes, context: Any) -> bytes:
        batch = method == _BATCH
        refused: dict[int, str] = {}
        if batch:
            self.batches += 1
            await asyncio.sleep(self.before_s)
            request, refused, kept = self._without_refused(request)
            if not kept:
                return _with_errors(b"", refused)
        try:
            answer: bytes = await channel.unary_unary(method)(request, metadata=context.invocation_metadata())
        except AioRpcError as error:
            await context.abort(error.code(), error.details())
            raise
        if batch:
            await asyncio.sleep(self.after_s)
        return _with_errors(answer, refused) if refused else answer

    def _without_refused(self, request: bytes) -> tuple[bytes, dict[int, str], int]:
        """The request that is forwarded, the objects refused by their place, and how many are left."""
        message = batch_pb2.BatchObjectsRequest.FromString(request)
        refused = {n: self.refusal for n in range(len(message.objects)) if self._random.random() < self.refused}
        self.refusals += len(refused)
        kept = [one for number, one in enumerate(message.objects) if number not in refused]
        del message.objects[:]
        message.objects.extend(kept)
        return message.SerializeToString(), refused, len(kept)


def _with_errors(answer: bytes, refused: dict[int, str]) -> bytes:
    reply = batch_pb2.BatchObjectsReply.FromString(answer)
    for index, error in refused.items():
        reply.errors.add(index=index, error=error)
    return bytes(reply.SerializeToString())


class _Handler(grpc.GenericRpcHandler):  # type: ignore[misc]
    def __init__(self, call: Callable[..., Any]) -> None:
        self._call = call

    def service(self, details: Any) -> Any:
        return grpc.unary_unary_rpc_method_handler(partial(self._call, details.method))
