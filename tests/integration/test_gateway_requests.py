"""The list of requests, however many a project has had."""

from __future__ import annotations

from contextlib import closing

import psycopg2

from tests.integration.gateway_world import World

MANY = 10_050


async def test_many_requests_are_listed_page_by_page_and_not_all_counted(world: World, postgres_dsn: str) -> None:
    with closing(psycopg2.connect(postgres_dsn)) as connection, connection, connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO requests (project, user_id, request_id, op, hash, status, changes, infer, recorded_at)"
            " SELECT 'ours', 'alice', n::text, 'add', 'h', 'succeeded', 0, true, to_timestamp(n)"
            " FROM generate_series(1, %s) AS n",
            (MANY,),
        )

    async def page(number: int, size: int = 1000) -> tuple[int, bool, bool, list[str]]:
        answer = await world.call("GET", f"/v1/events/?page={number}&page_size={size}")
        ids = [one["event_id"] for one in answer["results"]]
        return answer["count"], answer["next"] is not None, answer["previous"] is not None, ids

    assert await page(1) == (10_000, True, False, [str(n) for n in range(MANY, MANY - 1000, -1)])
    assert (await page(10))[:3] == (10_001, True, True)
    assert await page(11) == (MANY, False, True, [str(n) for n in range(50, 0, -1)])
    assert await page(12) == (10_000, False, True, [])
    theirs = await world.call("GET", "/v1/events/", token=world.foreign_token)
    assert (theirs["count"], theirs["next"], theirs["results"]) == (0, None, [])
