"""How fast the pipeline is without the embedder: every request brings its vector."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import Any, Final

import numpy as np

from infra.onnx import load_embedder
from schemas.identity import memory_id
from schemas.requests import DEFAULT_PROJECT
from tests.bench.draining import Report, drained
from tests.bench.place import place
from tests.bench.publishing import publish
from tests.bench.requests import request_of
from tests.bench.stored import check_stored
from tests.bench.turns import turns

_DECIMALS: Final = 7


async def plane(
    stores: Mapping[str, str], variant: str, records: int, seed: int, report: Report
) -> dict[str, Any]:
    """Memories/s from a full topic to committed offsets, and how long each stage worked.

    Stages work at the same time, so their seconds add up to more than the whole took.
    """
    async with place(stores, variant) as here:
        dimension = load_embedder(here.settings.embedding).identity.dimension
        vectors = np.random.default_rng(seed).standard_normal((records, dimension)).round(_DECIMALS).tolist()
        requests = [
            request_of(number, turn, vector)
            for number, (turn, vector) in enumerate(zip(islice(turns(seed), records), vectors, strict=True))
        ]
        await publish(here, requests)
        drain = await drained(here, records, report)
        await check_stored(here, [memory_id(DEFAULT_PROJECT, request.request_id, 0) for request in requests])
    return {
        "plane_per_s": round(drain.per_s, 1),
        "plane_records": records,
        "plane_stage_seconds": {stage: round(seconds, 2) for stage, seconds in drain.stage_seconds.items()},
    }
