"""A backup: a folder with a dump of Postgres, where the workers' group was before it, and what both are.

The offsets are read first. Whatever was committed by then is in the dump; what came between the two is read again
after a restore, and known by its id. The other way round, it would be skipped. Weaviate is not in it: it is built
again from Postgres.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, ValidationError

import agentmem
from agentmem.exit_codes import CommandError, ExitCode
from infra.local.errors import LocalStackError
from infra.local.postgres import binaries
from infra.postgres.dumping import Dumped, Tools
from infra.postgres.settings import PostgresSettings
from streams.inspection import read_cluster_id
from streams.lag import LagReader
from streams.offsets import reset
from streams.settings import KafkaSettings
from streams.topics import Topics

MANIFEST: Final = "manifest.json"
_DUMP: Final = "postgres.dump"
_FORMAT: Final = 1


class KafkaPart(BaseModel):
    """Where the workers' group was, in which cluster."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    cluster_id: str
    topic: str
    group: str
    offsets: dict[int, int]


class PostgresPart(BaseModel):
    """What the dump is of."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    server: str
    revision: str
    rows: dict[str, int]
    bytes: int
    sha256: str


class Manifest(BaseModel):
    """What a backup is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int
    agentmem: str
    created_at: datetime
    kafka: KafkaPart
    postgres: PostgresPart


def tools(settings: PostgresSettings) -> Tools:
    """pg_dump and pg_restore: from PATH, or those of the local stack's package."""
    try:
        return Tools(settings, [binaries()])
    except LocalStackError:
        return Tools(settings, [])


async def position(settings: KafkaSettings) -> KafkaPart:
    """Where the workers' group is now."""
    async with LagReader(settings) as reader:
        now = await reader.read()
    offsets = {partition: now.position(partition) for partition in now.end}
    topic = Topics.of(settings).requests
    return KafkaPart(
        cluster_id=await read_cluster_id(settings), topic=topic, group=settings.group, offsets=offsets
    )


def check_new(folder: Path) -> None:
    """Raises ``CommandError`` when the folder is there."""
    if folder.exists():
        raise CommandError(f"{folder} exists: a backup goes into a new folder", ExitCode.USAGE)


def write(folder: Path, kafka: KafkaPart, postgres: Tools) -> Manifest:
    """Dump into ``folder``, which appears when all is in it; what an interrupted one left is removed."""
    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(mode=0o700, parents=True)
    created_at = datetime.now(UTC)
    dumped = postgres.dump(partial / _DUMP)
    manifest = Manifest(
        format=_FORMAT,
        agentmem=agentmem.__version__,
        created_at=created_at,
        kafka=kafka,
        postgres=PostgresPart(
            server=dumped.server,
            revision=dumped.revision,
            rows=dict(dumped.rows),
            bytes=(partial / _DUMP).stat().st_size,
            sha256=_sha256(partial / _DUMP),
        ),
    )
    (partial / MANIFEST).write_text(manifest.model_dump_json(indent=2) + "\n")
    for file in (partial / _DUMP, partial / MANIFEST, partial):
        _flush(file)
    partial.rename(folder)
    _flush(folder.parent)
    return manifest


def read(folder: Path) -> Manifest:
    """What is in a backup, after a look at its checksum."""
    try:
        manifest = Manifest.model_validate_json((folder / MANIFEST).read_bytes())
    except FileNotFoundError:
        raise CommandError(f"{folder} holds no {MANIFEST}: it is no backup", ExitCode.USAGE) from None
    except ValidationError as error:
        raise CommandError(f"{folder / MANIFEST} is not readable: {error}", ExitCode.USAGE) from error
    if manifest.format != _FORMAT:
        raise CommandError(f"{folder} is of the format {manifest.format}, this version reads {_FORMAT}")
    if not (folder / _DUMP).exists():
        raise CommandError(f"{folder} holds no {_DUMP}: the backup is not complete")
    if _sha256(folder / _DUMP) != manifest.postgres.sha256:
        raise CommandError(f"{folder / _DUMP} is damaged: its checksum is not the one in {MANIFEST}")
    return manifest


def check(manifest: Manifest, postgres: Tools, *, replace: bool) -> Mapping[str, int]:
    """How many rows of each table the database holds; ``MisconfiguredError`` when it would not take the backup."""
    return postgres.check(_dumped(manifest), replace=replace)


def restore_postgres(folder: Path, manifest: Manifest, postgres: Tools) -> None:
    """Fill the database, in place of what it holds."""
    postgres.restore(folder / _DUMP, _dumped(manifest))


async def restore_position(settings: KafkaSettings, manifest: Manifest) -> dict[int, int]:
    """Set the group to where it was at the backup, or in another cluster to the first record that is kept.

    Returns the offsets. A topic that was made anew has no such offsets: there, too, all is read.
    """
    async with LagReader(settings) as reader:
        now = await reader.read()
    same = await read_cluster_id(settings) == manifest.kafka.cluster_id
    known = manifest.kafka.offsets if same and Topics.of(settings).requests == manifest.kafka.topic else {}
    offsets = {
        one: known[one] if now.begin[one] <= known.get(one, -1) <= now.end[one] else now.begin[one]
        for one in now.end
    }
    await reset(settings, offsets)
    return offsets


def _dumped(manifest: Manifest) -> Dumped:
    part = manifest.postgres
    return Dumped(part.server, part.revision, part.rows)


def _sha256(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
