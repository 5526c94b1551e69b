"""``agentmem keys``: API keys, straight in the database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import click

from agentmem.durations import Duration
from agentmem.invocation import Invocation, pass_invocation
from schemas.requests import DEFAULT_PROJECT

if TYPE_CHECKING:
    from joserfc.jwk import KeyParameters

    from infra.postgres import ApiKey
    from infra.postgres.credentials import Credentials
    from infra.postgres.keys import IssuedKey

_SCOPES: Final = ("read", "write", "admin")


project_option = click.option(
    "--project", default=DEFAULT_PROJECT, show_default=True, help="The project the key opens."
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
expiry_option = click.option("--expires-in", type=Duration(), help="How long it is good: 90d, 12h.")


@click.group()
def keys() -> None:
    """Make, list, rotate and revoke API keys, straight in the database.

    \b
    Examples:
      agentmem keys create --project shop --name website
      agentmem keys create --name ci --scope read --expires-in 90d
      agentmem keys rotate 2f7f3f0e-3a52-5a63-9a41-0f6a3f0c2b11 --grace 12h
    """


@keys.command()
@project_option
@click.option("--name", required=True, help="What it is for.")
@click.option(
    "--scope", "scopes", type=click.Choice(_SCOPES), multiple=True, help="What it may do; repeat for more."
)
@expiry_option
@json_option
@pass_invocation
def create(
    invocation: Invocation,
    /,
    project: str,
    name: str,
    scopes: tuple[str, ...],
    expires_in: timedelta | None,
    as_json: bool,
) -> None:
    """Make a key, and the project if need be. The key is printed now and never again.

    Without --scope it may read and write.
    """
    with _credentials(invocation) as credentials:
        issued = credentials.issue_key(project, name, scopes or ("read", "write"), _moment(expires_in))
    _show(issued, as_json)


@keys.command(name="list")
@project_option
@json_option
@pass_invocation
def list_(invocation: Invocation, /, project: str, as_json: bool) -> None:
    """List a project's keys, also those that have ended."""
    from agentmem.output import show_json, show_table

    with _credentials(invocation) as credentials:
        documents = [_document(key) for key in credentials.keys(project)]
    if as_json:
        show_json(documents)
        return
    columns = ("id", "name", "prefix", "scopes", "created_at", "expires_at", "revoked_at")
    show_table(columns, [[document[column] for column in columns] for document in documents])


@keys.command()
@click.argument("key_id", type=click.UUID)
@project_option
@click.option(
    "--grace", type=Duration(), default="24h", show_default=True, help="How long the old one still works."
)
@expiry_option
@json_option
@pass_invocation
def rotate(
    invocation: Invocation,
    /,
    key_id: UUID,
    project: str,
    grace: timedelta,
    expires_in: timedelta | None,
    as_json: bool,
) -> None:
    """Make a key in place of another, which goes on working for a while."""
    from agentmem.exit_codes import CommandError

    with _credentials(invocation) as credentials:
        issued = credentials.rotate_key(project, key_id, grace.total_seconds(), _moment(expires_in))
    if issued is None:
        raise CommandError(f"project {project} has no valid key {key_id}: see agentmem keys list")
    _show(issued, as_json)


@keys.command()
@click.argument("key_id", type=click.UUID)
@project_option
@pass_invocation
def revoke(invocation: Invocation, /, key_id: UUID, project: str) -> None:
    """End a key. Every gateway refuses it within seconds (setting gateway.key_cache_s)."""
    from agentmem.exit_codes import CommandError

    with _credentials(invocation) as credentials:
        if not credentials.revoke_key(project, key_id):
            raise CommandError(f"project {project} has no key {key_id}: see agentmem keys list")
    click.echo(f"revoked {key_id}")


@keys.command(name="signing-key")
@click.option("--algorithm", type=click.Choice(["EdDSA", "HS256"]), default="EdDSA", show_default=True)
def signing_key(algorithm: str) -> None:
    """Print a new key for signing tokens, as a JSON Web Key Set for gateway.token_keys_file.

    To change keys, put the new one before the old in the file's list: the first signs, all verify. Take the old
    one out when no token of its time is good any more.
    """
    from uuid import uuid4

    from joserfc.jwk import OctKey, OKPKey

    from agentmem.output import show_json

    parameters: KeyParameters = {"kid": uuid4().hex[:12], "alg": algorithm, "use": "sig"}
    key = (
        OKPKey.generate_key("Ed25519", parameters)
        if algorithm == "EdDSA"
        else OctKey.generate_key(256, parameters)
    )
    show_json({"keys": [key.as_dict(private=True)]})


@contextmanager
def _credentials(invocation: Invocation) -> Iterator[Credentials]:
    from infra.postgres import Database

    database = Database(invocation.client_settings().postgres)
    try:
        yield database.credentials
    finally:
        database.close()


def _moment(expires_in: timedelta | None) -> datetime | None:
    return None if expires_in is None else datetime.now(UTC) + expires_in


def _document(key: ApiKey) -> dict[str, Any]:
    return {
        "id": key.id,
        "project": key.project,
        "name": key.name,
        "prefix": key.prefix,
        "scopes": sorted(key.scopes),
        "created_at": key.created_at,
        "expires_at": key.expires_at,
        "revoked_at": key.revoked_at,
    }


def _show(issued: IssuedKey, as_json: bool) -> None:
    from agentmem.output import note, show_json

    if as_json:
        show_json({**_document(issued.key), "key": issued.token})
        return
    note(f"key {issued.key.id} of project {issued.key.project}; it is shown this once:")
    click.echo(issued.token)
