"""Settings of a running process: from its file and its operator, as a whole or not at all."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from functools import partial
from pathlib import Path

import pytest

from agentmem.live_settings import LiveSettings
from agentmem.logs import configure_logging, set_level
from agentmem.settings import LogSettings, Settings, SettingsError, read_layers
from gateway.configuration import Change, ChangeRefusedError
from infra.telemetry.metrics import SETTINGS_PENDING, SETTINGS_RELOADS
from streams.records import Record
from streams.window import Window

pytestmark = pytest.mark.usefixtures("no_settings_from_outside")

SECTIONS = ("gateway", "window", "log")
WAIT_S = 60


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "agentmem.toml"
    write(path, "[gateway]\nrate_key = 10\nport = 1234\n")
    return path


def write(file: Path, text: str | None) -> None:
    """Put a whole new file in the place of the old one, as editors and Kubernetes do; None takes it away."""
    if text is None:
        file.unlink()
        return
    new = file.with_suffix(".new")
    new.write_text(text)
    new.replace(file)


def following(file: Path, seen: list[Settings] | None = None, **overrides: str) -> LiveSettings:
    given = {name.replace("__", "."): value for name, value in overrides.items()}
    applied = seen.append if seen is not None else lambda _: None
    return LiveSettings(partial(read_layers, file, given), file, SECTIONS, applied)


def refused() -> float:
    value: float = SETTINGS_RELOADS.labels("refused")._value.get()
    return value


async def test_a_new_value_is_in_the_very_model_that_its_users_hold(file: Path) -> None:
    seen: list[Settings] = []
    live = following(file, seen)
    gateway, window = live.settings.gateway, live.settings.window
    write(file, "[gateway]\nrate_key = 20\nport = 1234\n[window]\nmax_records = 7\n")
    await live.reload()
    assert (gateway.rate_key, window.max_records) == (20, 7)
    assert seen == [live.settings]
    shown = {one.name: one for one in live.shown()}
    assert (shown["window.max_records"].value, shown["window.max_records"].source) == (7, str(file))
    write(file, "")
    await live.reload()
    assert (gateway.rate_key, window.max_records) == (5_000, 256)


@pytest.mark.parametrize(
    "text",
    [
        "[gateway]\nrate_key = 30\nrate_project = -1\n",
        "[gateway]\nrate_key = 30\nrate_projects = 1\n",
        "[gateway]\nrate_key = 30\n[gate",
        "[kafka]\npartitions = 0\n[gateway]\nrate_key = 30\n",
        None,
    ],
)
async def test_what_is_not_valid_changes_nothing(file: Path, text: str | None) -> None:
    seen: list[Settings] = []
    live = following(file, seen)
    before, was_refused = live.shown(), refused()
    write(file, text)
    await live.reload()
    assert live.shown() == before
    assert live.settings.gateway.rate_key == 10
    assert refused() == was_refused + 1
    assert not seen


def test_the_first_refusal_is_an_increase_of_a_counter_that_was_there(file: Path) -> None:
    SETTINGS_RELOADS.clear()
    following(file)
    [family] = SETTINGS_RELOADS.collect()
    values = {sample.labels["result"]: sample.value for sample in family.samples if sample.name.endswith("_total")}
    assert values == {"applied": 0, "refused": 0}


async def test_what_needs_a_restart_waits_for_it_and_the_rest_counts(file: Path) -> None:
    live = following(file)
    write(file, "[gateway]\nrate_key = 20\nport = 4321\n[log]\nformat = 'json'\n[worker]\nport = 1\n")
    await live.reload()
    assert (live.settings.gateway.rate_key, live.settings.gateway.port) == (20, 1234)
    assert live.settings.log.format == "auto"
    # The worker's port is nothing to this process.
    assert SETTINGS_PENDING._value.get() == 2
    shown = {one.name: one for one in live.shown()}
    assert (shown["log.format"].value, shown["log.format"].source) == ("auto", "default")
    assert "worker.port" not in shown
    write(file, "[gateway]\nport = 1234\n")
    await live.reload()
    assert SETTINGS_PENDING._value.get() == 0


def test_an_operators_values_stand_above_all_until_taken_back(file: Path) -> None:
    live = following(file, gateway__rate_project="77")
    asked, before = {"gateway.rate_key": 1, "gateway.rate_project": "2"}, live.shown()
    planned = live.planned(asked)
    assert live.shown() == before
    changes = live.change(asked, "ann")
    assert changes == planned
    assert changes == [Change("gateway.rate_key", 10, 1), Change("gateway.rate_project", 77, 2)]
    shown = {one.name: one for one in live.shown()}
    assert shown["gateway.rate_key"].source == "the operator (ann)"
    # The file is not read for this: what was written into it meanwhile is a matter of its own.
    write(file, "not a settings file")
    assert live.change({"gateway.rate_project": None}, "ann") == [Change("gateway.rate_project", 2, 77)]
    assert live.settings.gateway.rate_key == 1


async def test_a_new_file_leaves_the_operators_values(file: Path) -> None:
    live = following(file)
    live.change({"gateway.rate_key": 1}, "ann")
    write(file, "[gateway]\nport = 1234\nrate_key = 99\nrate_project = 98\n")
    await live.reload()
    assert (live.settings.gateway.rate_key, live.settings.gateway.rate_project) == (1, 98)
    live.change({"gateway.rate_key": None}, "ann")
    assert live.settings.gateway.rate_key == 99


@pytest.mark.parametrize(
    ("values", "code", "named"),
    [
        ({"gateway.rate_key": 5, "gateway.rate_keys": 5}, "no_such_setting", "gateway.rate_keys"),
        ({"gateway.rate_key": 5, "worker.sweep_interval_s": 5}, "no_such_setting", "worker.sweep_interval_s"),
        ({"gateway.rate_key": 5, "gateway": {}}, "no_such_setting", "gateway"),
        ({"gateway.rate_key": 5, "gateway.port": 5}, "needs_restart", "gateway.port"),
        ({"gateway.rate_key": 5, "gateway.rate_project": -1}, "invalid_setting", "gateway.rate_project"),
        ({"gateway.rate_key": 5, "gateway.cors_origins": [1]}, "invalid_setting", "gateway.cors_origins"),
    ],
)
def test_an_operators_mistake_is_named_and_changes_nothing(
    file: Path, values: dict[str, object], code: str, named: str
) -> None:
    live = following(file)
    before = live.shown()
    for refused_by in (live.planned, partial(live.change, who="ann")):
        with pytest.raises(ChangeRefusedError, match=named) as caught:
            refused_by(values)
        assert caught.value.code == code
    assert live.shown() == before


async def test_a_window_closes_at_its_new_size(file: Path) -> None:
    live = following(file)
    window = Window(live.settings.window, lambda: None, lambda: None)
    for offset in range(5):
        window.put(Record("t", 0, offset, 0.0, None, b""))
    live.change({"window.max_records": 2, "window.max_wait_ms": 60_000}, "ann")
    batches = [await asyncio.wait_for(window.batch(), WAIT_S) for _ in range(2)]
    assert [len(batch.records) for batch in batches] == [2, 2]
    live.change({"window.max_records": 1}, "ann")
    assert len((await asyncio.wait_for(window.batch(), WAIT_S)).records) == 1


@pytest.mark.usefixtures("logging_as_before")
def test_the_log_says_who_changed_what(file: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    configure_logging(LogSettings(format="json", file=log))
    live = LiveSettings(partial(read_layers, file), file, SECTIONS, lambda settings: set_level(settings.log.level))
    live.change({"gateway.rate_key": 1, "log.level": "debug"}, "ann, key:1 of default")
    [line] = [line for line in log.read_text().splitlines() if "gateway.rate_key" in line]
    for part in ('"old": 10', '"new": 1', '"by": "ann, key:1 of default"'):
        assert part in line
    assert logging.getLogger().level == logging.DEBUG


async def test_the_file_is_followed_and_a_signal_is_obeyed(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    changed = asyncio.Event()
    live = LiveSettings(partial(read_layers, file), file, SECTIONS, lambda _: changed.set())
    watching = asyncio.create_task(live.watch())
    try:
        async with asyncio.timeout(WAIT_S):
            write(file, "[gateway]\nrate_key = 20\n")
            await changed.wait()
            assert live.settings.gateway.rate_key == 20
            # What the environment says is read at a signal too, with no change of the file.
            changed.clear()
            monkeypatch.setenv("AGENTMEM_GATEWAY_RATE_KEY", "30")
            os.kill(os.getpid(), signal.SIGHUP)
            await changed.wait()
            assert live.settings.gateway.rate_key == 30
    finally:
        asyncio.get_running_loop().remove_signal_handler(signal.SIGHUP)
        watching.cancel()


def test_what_is_not_valid_at_the_start_ends_it(file: Path) -> None:
    write(file, "[gateway]\nrate_key = -1\n")
    with pytest.raises(SettingsError, match=r"gateway\.rate_key"):
        following(file)
