"""The second wall: what the gateway's role sees in Postgres, whatever a query says."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any
from uuid import uuid4

import pytest
from pydantic import SecretStr
from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ProgrammingError

from agents.stages.apply import apply
from infra.postgres import Database, PostgresSettings
from infra.postgres.engine import make_engine
from infra.postgres.migrate import upgrade
from infra.postgres.roles import GRANTS
from infra.postgres.tables import metadata
from infra.postgres.webhook_queue import Queued
from schemas.problems import MisconfiguredError
from schemas.requests import MemoryRequest
from schemas.scope import Scope
from tests.harness.databases import administer, owned_database
from tests.harness.items import item


@pytest.fixture
def owner(postgres_settings: PostgresSettings) -> Iterator[Database]:
    database = Database(postgres_settings)
    yield database
    database.close()


@pytest.fixture
def walled(postgres_settings: PostgresSettings) -> Iterator[Database]:
    database = Database(postgres_settings, walled=True)
    yield database
    database.close()


def request(project: str, **fields: Any) -> MemoryRequest:
    fields = {"request_id": str(uuid4()), "op": "add", "user_id": "alice", "text": "likes tea", **fields}
    return MemoryRequest.model_validate({"project": project, **fields})


def fill(database: Database, *projects: str) -> None:
    """A row of each project in the tables that most depends on."""
    for project in projects:
        apply(database, [item(request(project))])
        key = database.credentials.issue_key(project, "test").key
        database.credentials.start_family(project, key.id, uuid4(), uuid4(), ["read"], 60)
        webhook = database.webhooks.create(
            project, name="w", url="https://example.com", event_types=["memory_add"], secret="s", ids={}
        )
        database.webhook_queue.put([Queued(webhook.id, project, str(uuid4()), "t", "k", "{}")])


def rows(database: Database, project: str, table: str) -> list[Any]:
    """What a query that forgot its condition finds."""
    with database._connection(project) as connection:
        return list(connection.execute(text(f"SELECT * FROM {table}")))


@pytest.mark.parametrize(
    "table", ["projects", "api_keys", "token_families", "memories", "memory_history", "requests"]
)
def test_a_query_that_forgot_the_project_finds_that_projects_rows_only(
    owner: Database, walled: Database, table: str
) -> None:
    fill(owner, "ours", "theirs")
    column = "id" if table == "projects" else "project"
    assert {row._mapping[column] for row in rows(owner, "", table)} == {"ours", "theirs"}
    assert {row._mapping[column] for row in rows(walled, "ours", table)} == {"ours"}
    assert rows(walled, "", table) == []
    assert rows(walled, "nobody's", table) == []


def test_every_table_has_the_wall(owner: Database) -> None:
    with owner._connection() as connection:
        forced = connection.execute(
            text("SELECT relname FROM pg_class WHERE relrowsecurity AND relforcerowsecurity")
        ).scalars()
        assert set(forced) >= set(metadata.tables)


def test_the_gateways_role_owns_nothing_and_may_not_do_more(owner: Database, walled: Database) -> None:
    fill(owner, "ours")
    with walled._connection("ours") as connection:
        owned = connection.execute(
            text("SELECT relname FROM pg_class WHERE relowner = current_user::regrole")
        ).scalars()
        assert not list(owned)
        attributes = connection.execute(
            text("SELECT rolsuper OR rolbypassrls OR rolcreaterole FROM pg_roles WHERE rolname = current_user")
        )
        assert attributes.scalar_one() is False
    for statement in (
        "DELETE FROM memories",
        "UPDATE memories SET text = ''",
        "DELETE FROM memory_history",
        "TRUNCATE requests",
        "DROP TABLE api_keys",
        "ALTER TABLE memories DISABLE ROW LEVEL SECURITY",
        "DROP POLICY wall ON memories",
    ):
        with pytest.raises(MisconfiguredError, match="42501"), walled._connection("ours") as connection:
            connection.execute(text(statement))


def test_nothing_can_be_written_into_another_project(owner: Database, walled: Database) -> None:
    fill(owner, "theirs")
    for statement in (
        "UPDATE requests SET project = 'theirs'",
        "INSERT INTO projects (id, created_at) VALUES ('theirs-2', now())",
    ):
        walled.accept(request("ours"))
        with (
            pytest.raises(MisconfiguredError, match="row-level security"),
            walled._connection("ours") as connection,
        ):
            connection.execute(text(statement))
    with walled._connection("ours") as connection:
        assert connection.execute(text("UPDATE api_keys SET scopes = '{admin}'")).rowcount == 0


def test_what_one_transaction_saw_the_next_on_its_connection_does_not(
    owner: Database, postgres_settings: PostgresSettings
) -> None:
    fill(owner, "ours", "theirs")
    database = Database(postgres_settings.model_copy(update={"pool_size": 1}), walled=True)
    token = owner.create_api_key("theirs", "another")
    assert database.api_key(token) is not None
    assert len(rows(database, "ours", "memories")) == 1
    with pytest.raises(ProgrammingError), database._engine.begin() as connection:
        connection.execute(text("SELECT nothing"))
    for table in GRANTS:
        assert rows(database, "", table) == []
    database.close()


def test_the_gateways_methods_work_behind_the_wall(owner: Database, walled: Database) -> None:
    one = request("ours")
    assert walled.accept(one) == walled.accept(one)
    apply(owner, [item(one)])
    total, [memory] = walled.list_memories(Scope("ours", "alice"), limit=1)
    assert total == 1
    assert walled.memory("ours", memory.id) == memory
    assert walled.memory("theirs", memory.id) is None
    assert [entry.memory for entry in walled.history("ours", memory.id)] == [memory]
    assert [entry.memory for entry in walled.request_history("ours", one.request_id)] == [memory]
    assert walled.outcome("ours", one.request_id) == owner.outcome("ours", one.request_id)
    token = walled.create_api_key("ours", "new")
    key = walled.api_key(token)
    assert key is not None
    assert key.project == "ours"
    assert key in walled.credentials.keys("ours")


def test_a_login_that_is_no_superuser_is_walled_in_too(
    owner: Database, postgres_settings: PostgresSettings
) -> None:
    fill(owner, "ours", "theirs")
    login, password = f"gateway_{uuid4().hex[:12]}", uuid4().hex
    with owner._connection() as connection:
        connection.execute(text(f"CREATE ROLE {login} LOGIN PASSWORD '{password}'"))
    dsn = make_url(postgres_settings.dsn.get_secret_value()).set(username=login, password=password)
    settings = postgres_settings.model_copy(update={"dsn": SecretStr(dsn.render_as_string(hide_password=False))})
    database = Database(settings, walled=True)
    try:
        with pytest.raises(MisconfiguredError, match=f"GRANT {settings.gateway_role} TO"):
            database.ping()
        with owner._connection() as connection:
            connection.execute(text(f"GRANT {settings.gateway_role} TO {login}"))
        assert len(rows(database, "ours", "memories")) == 1
        engine = make_engine(settings)
        with engine.begin() as connection:
            assert connection.execute(text("SELECT count(*) FROM memories")).scalar_one() == 0
        engine.dispose()
    finally:
        database.close()
        with owner._connection() as connection:
            connection.execute(text(f"DROP ROLE {login}"))


def test_an_owner_that_is_no_superuser_sees_everything(postgres_settings: PostgresSettings) -> None:
    """Row-level security is forced: without a policy of its own the workers' login would see nothing."""
    with owned_database(postgres_settings) as (settings, name):
        with pytest.raises(MisconfiguredError, match="let an administrator run"):
            upgrade(settings)
        administer(postgres_settings.dsn.get_secret_value(), f"GRANT {settings.gateway_role} TO {name}")
        upgrade(settings)
        with closing(Database(settings)) as database, closing(Database(settings, walled=True)) as gateway:
            fill(database, "ours", "theirs")
            assert len(rows(database, "", "memories")) == 2
            assert len(rows(gateway, "ours", "memories")) == 1


def test_a_missing_role_is_told(postgres_settings: PostgresSettings) -> None:
    settings = postgres_settings.model_copy(update={"gateway_role": f"none_{uuid4().hex[:12]}"})
    database = Database(settings, walled=True)
    with pytest.raises(MisconfiguredError, match="agentmem migrate"):
        database.ping()
    database.close()


def test_many_migrations_of_one_cluster_make_one_role(
    owner: Database, postgres_settings: PostgresSettings
) -> None:
    role = f"role_{uuid4().hex[:12]}"
    settings = postgres_settings.model_copy(update={"gateway_role": role})
    try:
        with ThreadPoolExecutor(4) as threads:
            assert list(threads.map(lambda _: upgrade(settings), range(4))) == [[]] * 4
    finally:
        with owner._connection() as connection:
            connection.execute(text(f"DROP OWNED BY {role}"))
            connection.execute(text(f"DROP ROLE {role}"))
