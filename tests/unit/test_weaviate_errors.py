"""What a message of Weaviate's means for the records in hand."""

from __future__ import annotations

import pytest

from infra.weaviate.errors import refusal
from schemas.problems import BatchRejectedError, StoreUnavailableError


@pytest.mark.parametrize(
    "detail",
    [
        "vector lengths don't match: 384 vs 3",
        "new node has a vector with length 3. Existing nodes have vectors with length 384",
        "invalid object: property 'version' is no number",
    ],
)
def test_what_speaks_of_the_data_refuses_it(detail: str) -> None:
    assert isinstance(refusal(detail, "an upsert"), BatchRejectedError)


@pytest.mark.parametrize(
    "detail",
    [
        "panic occurred: runtime error: invalid memory address or nil pointer dereference",
        "an unexpected error occurred: runtime error: index out of range [3] with length 3",
        'invalid checksum of segment "segment-17.db"',
        'add dimension tracking for vector "default": write: input/output error',
        "no space left on device",
    ],
)
def test_a_fault_of_its_own_is_waited_for(detail: str) -> None:
    assert isinstance(refusal(detail, "an upsert"), StoreUnavailableError)
