from __future__ import annotations

import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from schemas.problems import DeadLetterReason, RecordRejectedError
from schemas.vectors import check_vector, unit_vector

vectors = st.lists(st.floats(-1e100, 1e100), min_size=1, max_size=8)


@given(vectors)
def test_a_vector_is_scaled_to_length_one(vector: list[float]) -> None:
    assume(math.hypot(*vector) > 1e-6)
    unit = unit_vector(vector)
    assert math.hypot(*unit) == pytest.approx(1)
    assert unit_vector(unit) == pytest.approx(unit)
    assert all(math.copysign(1, one) == math.copysign(1, other) for one, other in zip(unit, vector, strict=True))
    check_vector(vector, len(vector))


@pytest.mark.parametrize("vector", [[], [0.0, 0.0], [1e-300], [math.nan], [math.inf, 1.0]])
def test_a_vector_without_direction_is_refused(vector: list[float]) -> None:
    with pytest.raises(RecordRejectedError, match="finite and must not be zero") as caught:
        unit_vector(vector)
    assert caught.value.reason is DeadLetterReason.INVALID_VECTOR


def test_a_vector_of_another_dimension_is_refused() -> None:
    with pytest.raises(RecordRejectedError, match="2 dimensions, the index 3"):
        check_vector([0.6, 0.8], 3)
