"""Postgres, the truth: tables, migrations and queries."""

from typing import TYPE_CHECKING

from infra.postgres.settings import PostgresSettings

if TYPE_CHECKING:
    from infra.postgres.database import Database
    from infra.postgres.keys import ApiKey
    from infra.postgres.writes import Transaction
else:
    from infra.lazy import exports

    __getattr__ = exports(__name__, {"ApiKey": "keys", "Database": "database", "Transaction": "writes"})

__all__ = ["ApiKey", "Database", "PostgresSettings", "Transaction"]
