"""``agentmem keys`` and ``agentmem projects``: what an operator does before anybody can call."""

from __future__ import annotations

import json
from uuid import uuid4

import pytest

from agentmem.exit_codes import ExitCode
from infra.postgres import Database, PostgresSettings
from tests.acceptance.command import Agentmem


@pytest.fixture
def with_postgres(agentmem: Agentmem, postgres_settings: PostgresSettings) -> Agentmem:
    return agentmem.with_environment(AGENTMEM_POSTGRES_DSN=postgres_settings.dsn.get_secret_value())


def test_a_key_is_made_listed_rotated_and_revoked(with_postgres: Agentmem, database: Database) -> None:
    made = with_postgres("keys", "create", "--project", "shop", "--name", "web", "--scope", "read")
    assert made.code == 0, made.err
    token = made.out.strip()
    assert "shown this once" in made.err
    key = database.api_key(token)
    assert key is not None
    assert (key.project, key.scopes) == ("shop", frozenset({"read"}))
    listed = with_postgres("keys", "list", "--project", "shop")
    assert [line.split("\t")[:3] for line in listed.out.splitlines()] == [[str(key.id), "web", key.prefix]]
    assert token not in listed.out
    rotated = with_postgres("keys", "rotate", str(key.id), "--project", "shop", "--grace", "1h", "--json")
    new = json.loads(rotated.out)
    assert [database.api_key(one) is not None for one in (token, new["key"])] == [True, True]
    for id in (str(key.id), new["id"]):
        assert with_postgres("keys", "revoke", id, "--project", "shop").out == f"revoked {id}\n"
    assert [database.api_key(one) for one in (token, new["key"])] == [None, None]
    documents = json.loads(with_postgres("keys", "list", "--project", "shop", "--json").out)
    assert all(document["revoked_at"] for document in documents)


def test_a_key_may_have_an_end(with_postgres: Agentmem, database: Database) -> None:
    made = json.loads(with_postgres("keys", "create", "--name", "ci", "--expires-in", "90d", "--json").out)
    key = database.api_key(made["key"])
    assert key is not None
    assert key.expires_at is not None
    assert 89 < (key.expires_at - key.created_at).total_seconds() / 86_400 < 91


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("rotate", str(uuid4())), ExitCode.FAILED, "agentmem keys list"),
        (("revoke", str(uuid4())), ExitCode.FAILED, "agentmem keys list"),
        (("revoke", "7"), ExitCode.USAGE, "not a valid UUID"),
        (("create",), ExitCode.USAGE, "--name"),
        (("create", "--name", "x", "--expires-in", "soon"), ExitCode.USAGE, "no time such as 90d"),
        (("create", "--name", "x", "--scope", "root"), ExitCode.USAGE, "root"),
    ],
)
def test_what_makes_no_sense_is_told(
    with_postgres: Agentmem, arguments: tuple[str, ...], code: ExitCode, says: str
) -> None:
    done = with_postgres("keys", *arguments)
    assert done.code == code
    assert says in done.err


def test_projects_are_made_once(with_postgres: Agentmem) -> None:
    assert with_postgres("projects", "create", "shop").out == "shop: made\n"
    assert with_postgres("projects", "create", "shop").out == "shop: exists\n"
    assert with_postgres("projects", "list").out.startswith("shop\t")
    assert with_postgres("projects", "create", "").code == ExitCode.USAGE


@pytest.mark.parametrize(("algorithm", "kind"), [("EdDSA", "OKP"), ("HS256", "oct")])
def test_signing_keys_are_ready_for_the_gateway(agentmem: Agentmem, algorithm: str, kind: str) -> None:
    made = agentmem("keys", "signing-key", "--algorithm", algorithm)
    [key] = json.loads(made.out)["keys"]
    assert (key["kty"], key["alg"]) == (kind, algorithm)
    assert key["kid"]
