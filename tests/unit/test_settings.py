"""Where settings come from, which source wins, and what a bad one says."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentmem.masking import masked
from agentmem.settings import Settings, SettingsError, load_settings

pytestmark = pytest.mark.usefixtures("no_settings_from_outside")


def problem(config: Path | None = None, **overrides: str) -> str:
    with pytest.raises(SettingsError) as caught:
        load_settings(config, {name.replace("__", "."): value for name, value in overrides.items()})
    return str(caught.value)


def test_defaults_need_no_source() -> None:
    settings = load_settings()
    assert settings.url == "http://127.0.0.1:8765"
    assert settings.kafka.bootstrap_servers == "127.0.0.1:9092"
    assert settings.api_key is None


@pytest.mark.parametrize("name", ["s.toml", "s.yaml", "s.yml"])
def test_file_is_read_by_its_ending(tmp_path: Path, name: str) -> None:
    config = tmp_path / name
    config.write_text(
        'url = "http://h:1"\n[kafka]\npartitions = 12\n'
        if name.endswith("toml")
        else "url: http://h:1\nkafka:\n  partitions: 12\n"
    )
    settings = load_settings(config)
    assert (settings.url, settings.kafka.partitions) == ("http://h:1", 12)


def test_empty_yaml_file_is_all_defaults(tmp_path: Path) -> None:
    config = tmp_path / "s.yaml"
    config.write_text("# nothing yet\n")
    assert load_settings(config) == load_settings()


def test_each_source_stands_above_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fallback = tmp_path / "dev.env"
    fallback.write_text(
        "AGENTMEM_KAFKA_GROUP=fallback\nAGENTMEM_KAFKA_TOPIC_PREFIX=fallback\n"
        "AGENTMEM_KAFKA_PARTITIONS=2\nAGENTMEM_URL=http://fallback\nAGENTMEM_SOMETHING_ELSE=1\n"
    )
    config = tmp_path / "s.toml"
    config.write_text('[kafka]\ngroup = "file"\ntopic_prefix = "file"\npartitions = 3\n')
    monkeypatch.setenv("AGENTMEM_CONFIG", str(config))
    monkeypatch.setenv("AGENTMEM_KAFKA_GROUP", "environment")
    monkeypatch.setenv("AGENTMEM_KAFKA_PARTITIONS", "4")
    settings = load_settings(overrides={"kafka.partitions": "5"}, fallback=fallback)
    assert settings.kafka.partitions == 5
    assert settings.kafka.group == "environment"
    assert settings.kafka.topic_prefix == "file"
    assert settings.url == "http://fallback"


def test_a_fallback_that_is_missing_is_fine(tmp_path: Path) -> None:
    assert load_settings(fallback=tmp_path / "none") == load_settings()


def test_environment_names_of_two_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENTMEM_API_KEY", "secret")
    monkeypatch.setenv("AGENTMEM_WINDOW_MAX_WAIT_MS", "2.5")
    settings = load_settings()
    assert settings.api_key is not None
    assert settings.api_key.get_secret_value() == "secret"
    assert settings.window.max_wait_ms == 2.5


def test_an_empty_variable_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENTMEM_API_KEY", "")
    assert load_settings().api_key is None


def test_home_has_a_short_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENTMEM_HOME", str(tmp_path))
    assert load_settings().local.home == tmp_path


def test_other_variables_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENTMEM_TEST_KEEP", "1")
    load_settings()


def test_bad_value_names_setting_problem_and_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENTMEM_KAFKA_PARTITIONS", "none")
    assert problem() == (
        "setting kafka.partitions: should be a valid integer, unable to parse string as an integer, not 'none', "
        "from environment variable AGENTMEM_KAFKA_PARTITIONS"
    )


def test_bad_value_names_the_file(tmp_path: Path) -> None:
    config = tmp_path / "s.toml"
    config.write_text("[kafka]\npartitions = 0\n")
    assert problem(config).endswith(f"not 0, from {config}")


def test_bad_value_names_the_command_line() -> None:
    assert problem(window__max_records="0").endswith("not '0', from the command line")


def test_every_bad_setting_has_its_line() -> None:
    assert len(problem(window__max_records="0", url="ftp://x").splitlines()) == 2


def test_unknown_key_in_a_file_is_refused_by_name(tmp_path: Path) -> None:
    config = tmp_path / "s.yaml"
    config.write_text("kafka:\n  partitons: 3\n")
    message = problem(config)
    assert "setting kafka.partitons: there is no such setting" in message
    assert "did you mean kafka.partitions?" in message


def test_unknown_section_is_refused_by_name() -> None:
    assert "setting nosuch: there is no such setting" in problem(nosuch__field="1")


def test_unknown_variable_of_a_known_section_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENTMEM_KAFKA_BOOTSTRAP", "x:1")
    message = problem()
    assert "AGENTMEM_KAFKA_BOOTSTRAP" in message
    assert "kafka.bootstrap_servers" in message


def test_a_value_where_a_section_belongs(tmp_path: Path) -> None:
    config = tmp_path / "s.yaml"
    config.write_text("postgres: postgresql://me:hunter2@h/db\n")
    message = problem(config, postgres__pool_size="4")
    assert "setting postgres" in message
    assert "hunter2" not in message


@pytest.mark.parametrize(
    ("overrides", "secret"),
    [
        ({"postgres__dns": "postgresql://me:hunter2@h/db"}, "hunter2"),
        ({"weaviate__url": "ftp://me:hunter2@h"}, "hunter2"),
        ({"url": "ftp://me:hunter2@h"}, "hunter2"),
        ({"url": "ftp://hunter2@h"}, "hunter2"),
        ({"url": "ftp://me:some/hunter2@h"}, "hunter2"),
        ({"url": "ftp://h/?api_key=hunter2"}, "hunter2"),
    ],
)
def test_secrets_are_masked(overrides: dict[str, str], secret: str) -> None:
    assert secret not in problem(None, **overrides)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://:p@ss@host:6379/0", "redis://:***@host:6379/0"),
        ("redis://me:p/ss@host/0", "redis://me:***@host/0"),
        (
            "postgresql://me@host/db?password=p@ss&sslmode=require",
            "postgresql://me@host/db?password=***&sslmode=require",
        ),
        ("https://host/v1/traces?api_key=p@ss", "https://host/v1/traces?api_key=***"),
        ("https://host:8080/a", "https://host:8080/a"),
    ],
)
def test_the_whole_password_of_a_url_is_masked(url: str, shown: str) -> None:
    assert masked(url) == shown


def test_secrets_do_not_show_in_the_settings() -> None:
    settings = load_settings(overrides={"api_key": "hunter2", "postgres.dsn": "postgresql://me:hunter2@h/db"})
    assert "hunter2" not in repr(settings)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("s.toml", "url = ", "settings file"),
        ("s.yaml", "a: [", "settings file"),
        ("s.yaml", "- a\n- b\n", "settings file"),
        ("s.json", "{}", "must end in"),
    ],
)
def test_unreadable_file(tmp_path: Path, name: str, content: str, words: str) -> None:
    config = tmp_path / name
    config.write_text(content)
    message = problem(config)
    assert words in message
    assert name in message
    assert len(message.splitlines()) == 1


def test_missing_file(tmp_path: Path) -> None:
    assert problem(tmp_path / "none.toml") == f"settings file {tmp_path}/none.toml: No such file or directory"


def test_every_setting_is_described() -> None:
    for section, field in Settings.model_fields.items():
        assert field.description, section
        inner = field.annotation
        for name, setting in getattr(inner, "model_fields", {}).items():
            assert setting.description, f"{section}.{name}"
