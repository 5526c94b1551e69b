"""Postgres: the server and its clock, the schema, and what the login may do."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from agentmem.doctor.examine import on_thread
from agentmem.doctor.findings import Finding, failed, ok, warning
from infra.local.versions import POSTGRES_MAJOR
from infra.postgres.inspection import read_rights, read_server
from infra.postgres.migrate import pending
from infra.postgres.settings import PostgresSettings

_SKEW: Final = timedelta(seconds=1)


async def server_check(settings: PostgresSettings) -> list[Finding]:
    """It answers, is of the version that this is tested with, stores any text and takes writes."""
    server = await on_thread(lambda: read_server(settings))
    found: list[Finding] = []
    if server.encoding != "UTF8":
        found.append(
            failed(
                f"the database's encoding is {server.encoding}: not every text can be stored",
                "make a database with ENCODING 'UTF8' and move the data there",
            )
        )
    if server.read_only:
        found.append(failed("the database takes no writes", "set postgres.dsn to the primary"))
    if server.major < POSTGRES_MAJOR:
        remedy = f"AgentMem is tested with Postgres {POSTGRES_MAJOR}: upgrade"
        found.append(warning(f"Postgres {server.version} is older than tested", remedy))
    return found or ok(f"Postgres {server.version}")


async def clock_check(settings: PostgresSettings) -> list[Finding]:
    """This machine and Postgres agree on the time."""
    server = await on_thread(lambda: read_server(settings))
    seconds = server.clock_ahead.total_seconds()
    detail = f"Postgres's clock is {abs(seconds):.3f} s {'ahead of' if seconds > 0 else 'behind'} this machine's"
    if abs(server.clock_ahead) > _SKEW + server.uncertainty:
        return [warning(f"{detail}: times and expiry are off by so much", "synchronise both clocks (NTP)")]
    return ok(detail)


async def schema_check(settings: PostgresSettings) -> list[Finding]:
    """The tables are those of this version."""
    if await on_thread(lambda: pending(settings)):
        return [failed("the database's schema is not this version's", "run 'agentmem migrate'")]
    return ok("the tables are this version's")


async def rights_check(settings: PostgresSettings) -> list[Finding]:
    """The login may read and write our tables, and work as the gateway's role."""
    rights = await on_thread(lambda: read_rights(settings))
    found: list[Finding] = []
    if rights.missing:
        found.append(
            failed(
                f"the login {rights.login} may not {', '.join(rights.missing)}",
                f"grant it these, or migrate as {rights.login}, so that the tables are its own",
            )
        )
    if not rights.gateway_role:
        found.append(
            failed(
                f"the login {rights.login} may not work as {settings.gateway_role}, as a gateway must",
                f"run 'agentmem migrate', or GRANT {settings.gateway_role} TO {rights.login}",
            )
        )
    return found or ok(f"the login {rights.login} may do all that is needed")
