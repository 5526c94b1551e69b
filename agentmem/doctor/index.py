"""Weaviate: the server, and whether the index there is that of the configured model."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from agentmem.doctor.examine import on_thread
from agentmem.doctor.findings import Finding, failed, ok, warning
from agentmem.exit_codes import ExitCode
from infra.local.versions import WEAVIATE
from infra.postgres import Database, PostgresSettings
from infra.postgres.collections import CollectionState
from infra.weaviate import VectorIndex, WeaviateSettings
from schemas.models import ModelIdentity
from schemas.problems import MisconfiguredError, StoreUnavailableError

#: Tells which model is configured; None when it cannot be loaded.
Identify = Callable[[], Awaitable[ModelIdentity | None]]


async def weaviate_check(settings: WeaviateSettings) -> list[Finding]:
    """Both of its ports answer, and it is of the version that this is tested with."""
    async with _opened(settings) as index:
        version = await index.server_version()
    host, _, port = settings.grpc.rpartition(":")
    try:
        _, writer = await asyncio.open_connection(host, int(port))
    except OSError as error:
        detail = f"Weaviate's gRPC port {settings.grpc} does not answer ({error.strerror})"
        return [failed(detail, "set weaviate.grpc, or open that port", ExitCode.UNAVAILABLE)]
    writer.close()
    if _release(version) < _release(WEAVIATE):
        remedy = f"AgentMem is tested with {WEAVIATE}: upgrade"
        return [warning(f"Weaviate {version} is older than tested", remedy)]
    return ok(f"Weaviate {version}")


async def index_check(
    settings: WeaviateSettings, postgres: PostgresSettings, configured: Identify
) -> list[Finding]:
    """The collection that serves holds the vectors of the configured model and answers a search."""
    identity = await configured()
    settings = settings.model_copy(update={"collection": await _serving(settings, postgres, identity)})
    async with _opened(settings) as index:
        recorded = await index.made_by()
        if recorded is None:
            remedy = "the first worker makes it; if there were memories, set weaviate.collection to theirs"
            return [warning(f"there is no collection {settings.collection} yet", remedy)]
        if not await index.is_ready():
            detail = f"the collection {settings.collection} is there, but does not answer a read"
            return [failed(detail, "look into Weaviate's log", ExitCode.UNAVAILABLE)]
    if identity is None:
        return [
            warning(f"{settings.collection} holds vectors of {recorded}; not compared", "mend the model first")
        ]
    if recorded != identity:
        return [
            failed(
                f"{settings.collection} holds vectors of {recorded}, configured is {identity}",
                "set the embedding settings back, or build an index for the new ones: 'agentmem rebuild'",
            )
        ]
    return ok(f"{settings.collection} holds vectors of {recorded}")


async def _serving(settings: WeaviateSettings, postgres: PostgresSettings, model: ModelIdentity | None) -> str:
    """The collection that serves the model, or another; the index's own name if none is recorded."""
    database = Database(postgres)
    try:
        known = await on_thread(lambda: database.collections.of(settings.collection))
    except (StoreUnavailableError, MisconfiguredError):
        return settings.collection  # the checks of Postgres tell of that
    finally:
        database.close()
    serving = [one for one in known if one.state is CollectionState.SERVING]
    mine = [one.name for one in serving if one.model == str(model)]
    return [*mine, *(one.name for one in serving), settings.collection][0]


@asynccontextmanager
async def _opened(settings: WeaviateSettings) -> AsyncIterator[VectorIndex]:
    index = VectorIndex(settings)
    try:
        await index.open()
        yield index
    finally:
        await index.close()


def _release(version: str) -> tuple[int, ...]:
    """Major and minor."""
    return tuple(int(part) for part in version.removeprefix("v").split(".")[:2])
