"""Failpoints: only a checkout has them, and only those that are named."""

from __future__ import annotations

import pytest

from agents import failpoints
from schemas.problems import MisconfiguredError


def test_a_release_refuses_to_start_with_one() -> None:
    with pytest.raises(MisconfiguredError, match="unset it"):
        failpoints.arm({failpoints.VARIABLE: "after-apply:1:SIGKILL"}, in_checkout=lambda: False)


def test_without_the_variable_a_release_does_not_care() -> None:
    failpoints.arm({}, in_checkout=lambda: False)
    for point in failpoints.POINTS:
        failpoints.passing(point)


def test_a_point_that_is_not_there_is_refused() -> None:
    with pytest.raises(MisconfiguredError, match="before-commit"):
        failpoints.arm({failpoints.VARIABLE: "elsewhere:1:SIGKILL"}, in_checkout=lambda: True)


def test_the_tests_run_in_a_checkout() -> None:
    assert failpoints.is_checkout()
