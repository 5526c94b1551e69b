"""The doctor's own rules, where no component is needed: time limits, order, settings, exit codes."""

from __future__ import annotations

import asyncio
import threading
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest

from agentmem.doctor import machine
from agentmem.doctor.configured import settings_check
from agentmem.doctor.examine import examine, exit_code, on_thread
from agentmem.doctor.findings import Check, Finding, Status, failed, ok
from agentmem.exit_codes import ExitCode
from agentmem.settings import Settings, load_with_sources
from schemas.problems import MisconfiguredError, StoreUnavailableError

pytestmark = pytest.mark.usefixtures("no_settings_from_outside")


async def well() -> list[Finding]:
    return ok("well")


async def raising(error: Exception) -> list[Finding]:
    raise error


async def stuck() -> list[Finding]:
    await asyncio.Event().wait()
    return ok("never")


async def test_one_check_hides_no_other() -> None:
    found = await examine(
        [
            Check("down", partial(raising, StoreUnavailableError("Kafka", "gone")), "start it"),
            Check("wrong", partial(raising, MisconfiguredError("set it back"))),
            Check("broken", partial(raising, ZeroDivisionError("oops"))),
            Check("stuck", stuck, "start that"),
            Check("needy", well, needs=("last", "down")),
            Check("needier", well, needs=("needy",)),
            Check("last", well),
        ],
        limit_s=0.1,
    )
    assert {name: part[0].status.value for name, part in found.items()} == {
        **dict.fromkeys(("down", "wrong", "broken", "stuck"), "failed"),
        **dict.fromkeys(("needy", "needier"), "skipped"),
        "last": "ok",
    }
    assert [part[0].code for part in found.values()][:4] == [
        *(ExitCode.UNAVAILABLE, ExitCode.MISCONFIGURED, ExitCode.FAILED, ExitCode.UNAVAILABLE)
    ]
    assert found["down"] == [
        Finding(Status.FAILED, "Kafka is unavailable: gone", "start it", ExitCode.UNAVAILABLE)
    ]
    assert found["broken"][0].detail == "the check itself failed: ZeroDivisionError: oops"
    assert found["needy"][0].detail == "not checked: it needs down"
    assert exit_code(found) == ExitCode.FAILED


def test_the_exit_code_is_that_of_all_failures() -> None:
    down, wrong = failed("x", "y", ExitCode.UNAVAILABLE), failed("x", "y")
    assert exit_code({"a": ok("x")}) == ExitCode.OK
    assert exit_code({"a": [down], "b": [down]}) == ExitCode.UNAVAILABLE
    assert exit_code({"a": [wrong]}) == ExitCode.MISCONFIGURED
    assert exit_code({"a": [down, wrong]}) == ExitCode.FAILED


async def test_a_thread_that_takes_too_long_is_left_behind() -> None:
    free = threading.Event()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await on_thread(free.wait)  # for ever: whoever waited for the thread would not come back
    free.set()
    assert await on_thread(lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        await on_thread(lambda: 1 // 0)


async def told(**overrides: str) -> list[str]:
    settings, given = load_with_sources(
        None, {name.replace("__", "."): value for name, value in overrides.items()}
    )
    return [found.detail for found in await settings_check(settings, given, None) if found.status is not Status.OK]


async def test_settings_that_are_not_wise(monkeypatch: pytest.MonkeyPatch) -> None:
    assert await told() == []
    assert await told(postgres__dsn="postgresql://me:ME@db/x") == [
        "the password in postgres.dsn is one that everybody guesses"
    ]
    assert await told(postgres__dsn="postgresql://me:c0rrect-horse@db/x") == []
    assert await told(weaviate__url="http://db:1", weaviate__api_key="c0rrect") == [
        "weaviate.url sends the API key in the clear"
    ]
    kafka = {"kafka__security_protocol": "SASL_PLAINTEXT", "kafka__sasl_username": "me"}
    assert await told(kafka__bootstrap_servers="far:1", kafka__sasl_password="Secret", **kafka) == [
        "kafka.sasl_password is one that everybody guesses",
        "kafka.security_protocol sends the password in the clear",
    ]
    assert await told(kafka__sasl_password="c0rrect", **kafka) == []
    [anonymous] = await told(weaviate__url="https://db:1")
    assert "whoever reaches Weaviate reads every memory" in anonymous
    assert await told(url="http://far:1", api_key="c0rrect") == ["url sends the API key in the clear"]
    monkeypatch.setenv("AGENTMEM_KAFAK_GROUP", "x")
    assert await told() == ["the environment variable AGENTMEM_KAFAK_GROUP sets nothing"]


async def test_a_file_with_secrets_that_others_can_read(tmp_path: Path) -> None:
    config = tmp_path / "s.toml"
    config.write_text('[postgres]\ndsn = "postgresql://me:c0rrect@db/x"\n')
    config.chmod(0o644)
    [found] = await settings_check(*load_with_sources(config), config)
    assert (found.detail, found.remedy) == (
        f"{config} holds postgres.dsn and others can read it",
        f"chmod 600 {config}",
    )
    config.chmod(0o600)
    [found] = await settings_check(*load_with_sources(config), config)
    assert found.status is Status.OK


async def test_packages_that_are_not_those_of_the_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = tmp_path / "lock"
    lock.write_text("click==0.0.1 \\\n    --hash=sha256:00\nnot-there==1 ; sys_platform == 'win32' \\\n")
    monkeypatch.setattr(machine, "_LOCK", lock)
    [found] = await machine.packages_check()
    assert found.status is Status.WARNING
    assert "not as in the lock: click " in found.detail
    assert "not-there" not in found.detail
    monkeypatch.setattr(machine, "_LOCK", tmp_path / "none")
    assert (await machine.packages_check())[0].status is Status.OK


async def test_a_disk_is_told_once(tmp_path: Path) -> None:
    overrides = {"local": {"home": tmp_path / "not" / "there"}, "embedding": {"cache_dir": tmp_path}}
    [found] = await machine.disk_check(Settings.model_validate({**overrides, "log": {"file": tmp_path / "x.log"}}))
    assert found.detail.endswith("(the local stack, models, the log)")


@pytest.mark.parametrize(
    ("used", "free", "expected", "told"),
    [
        # A file system that keeps 150 GB back for root: Weaviate counts them as free, and goes on.
        (80, 20, Status.OK, "free in"),
        (226, 24, Status.WARNING, "over 90% full"),
        (100, 1, Status.WARNING, "free in"),
        (100, 0, Status.FAILED, "free in"),
    ],
)
async def test_a_disk_is_full_when_weaviate_would_say_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, used: int, free: int, expected: Status, told: str
) -> None:
    gib = 1024**3
    (tmp_path / "stacks").mkdir()
    usage = SimpleNamespace(total=250 * gib, used=used * gib, free=free * gib)
    monkeypatch.setattr("shutil.disk_usage", lambda _path: usage)
    overrides = {"local": {"home": tmp_path}, "embedding": {"cache_dir": tmp_path}}
    [found] = await machine.disk_check(Settings.model_validate(overrides))
    assert found.status is expected
    assert told in found.detail
