"""What pg_dump is started with."""

from __future__ import annotations

import pytest

from infra.postgres.dumping import without_password
from schemas.problems import MisconfiguredError


@pytest.mark.parametrize(
    "dsn",
    [
        "postgresql+psycopg2://me:S3cret@host:5432/db?sslmode=require",
        "postgresql:///db?host=/run&user=me&password=S3cret&sslmode=require",
        "postgresql://me:other@host/db?password=S3cret&sslmode=require",
    ],
)
def test_a_password_is_in_the_environment_only(dsn: str) -> None:
    address, environment = without_password(dsn)
    assert environment == {"PGPASSWORD": "S3cret"}
    assert "S3cret" not in address
    assert "other" not in address
    assert address.startswith("postgresql://")
    assert "sslmode=require" in address


def test_a_passphrase_for_which_there_is_no_variable_is_refused() -> None:
    with pytest.raises(MisconfiguredError, match="sslpassword"):
        without_password("postgresql://me@host/db?sslkey=k&sslpassword=S3cret")
