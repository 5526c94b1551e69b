"""Failpoints: only a checkout has them, and only those that are named."""

from __future__ import annotations

from pathlib import Path

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


@pytest.mark.parametrize(
    ("origin", "is_checkout"),
    [
        pytest.param(None, False, id="wheel of a registry"),
        pytest.param('{"url": "file:///a.whl", "archive_info": {}}', False, id="wheel of a file"),
        pytest.param('{"url": "https://a/b.git", "vcs_info": {"vcs": "git"}}', False, id="repository"),
        pytest.param('{"url": "file:///a", "dir_info": {}}', False, id="folder"),
        pytest.param('{"url": "file:///a", "dir_info": {"editable": false}}', False, id="folder, said so"),
        pytest.param('{"url": "file:///a", "dir_info": {"editable": true}}', True, id="link to a folder"),
    ],
)
def test_how_it_was_installed_tells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, origin: str | None, is_checkout: bool
) -> None:
    """By what pip leaves beside the package (PEP 610)."""
    installed = tmp_path / "agentmem-9.9.9.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.4\nName: agentmem\nVersion: 9.9.9\n")
    if origin is not None:
        (installed / "direct_url.json").write_text(origin)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert failpoints.is_checkout() is is_checkout
    if not is_checkout:
        with pytest.raises(MisconfiguredError, match="unset it"):
            failpoints.arm({failpoints.VARIABLE: "after-apply:1:SIGKILL"})
