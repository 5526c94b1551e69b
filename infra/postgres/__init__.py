"""Postgres, the truth: tables, migrations and queries."""

from infra.postgres.database import Database
from infra.postgres.keys import ApiKey
from infra.postgres.settings import PostgresSettings
from infra.postgres.writes import Transaction

__all__ = ["ApiKey", "Database", "PostgresSettings", "Transaction"]
