"""The image: its size, what goes into it, and that the Dockerfile is sound."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path

from infra.deploy.image_size import BUDGET, MB, sizes
from infra.local import versions
from infra.onnx.settings import VARIANTS
from tests.unit.deploy_files import DEPLOY, DOCKERFILE, ROOT, named_variables, variables
from tests.unit.tiny_model import make_model

TEXT = DOCKERFILE.read_text()
#: One for each execution provider.
LOCKS = {"runtime", *VARIANTS} - {"cpu"}


def test_it_stays_below_its_budget() -> None:
    parts = dict(sizes(ROOT / "requirements/runtime.lock"))
    # Far less would mean that the packages of the lock are not all here to be measured.
    assert 400 * MB < sum(parts.values()) <= BUDGET, parts


def test_hadolint_finds_nothing() -> None:
    hadolint = shutil.which("hadolint", path=sysconfig.get_path("scripts")) or shutil.which("hadolint")
    assert hadolint is not None, "install the packages of requirements/dev.lock"
    found = subprocess.run([hadolint, str(DOCKERFILE)], check=False, capture_output=True, text=True)
    assert found.returncode == 0, found.stdout


def test_all_packages_are_copied() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    ours = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    copied = [line.split()[1:] for line in TEXT.splitlines() if line.startswith("COPY ") and "--from" not in line]
    assert [source for source, *_ in copied if source in ours] == ours
    copied += [[f"requirements/{lock}.lock", "./"] for lock in LOCKS]
    let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    files = {source for sources in copied for source in sources[:-1]} - {"requirements/${LOCK}.lock"}
    assert files - {"infra/deploy/build.lock"} == let_in
    assert all((ROOT / source).exists() for source in files)


def test_the_image_has_a_python_that_is_supported() -> None:
    (version,) = re.findall(r"^ARG PYTHON=3\.(\d+)\.\d+$", TEXT, re.MULTILINE)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["requires-python"] == f">=3.{version}"


def test_it_runs_as_nobody_from_the_locks_alone() -> None:
    runtime = TEXT.split("AS runtime")[1]
    assert "USER 10001:10001" in runtime
    assert 'ENTRYPOINT ["agentmem"]' in runtime
    installs = re.findall(r"\bpip (?:--python \S+ )?install .*", TEXT)
    assert all("--require-hashes" in line or "--no-deps wheels/" in line for line in installs)


def test_an_operator_has_the_client_programs_of_the_servers_version() -> None:
    operator = TEXT.split("AS operator")[1]
    assert re.findall(r"^ARG POSTGRES=(\d+)$", operator, re.MULTILINE) == [str(versions.POSTGRES_MAJOR)]
    assert re.findall(r"^USER (\S+)$", operator, re.MULTILINE) == ["0:0", "10001:10001"]


def test_what_serves_is_built_without_a_target() -> None:
    assert TEXT.splitlines()[-1] == "FROM runtime"


def test_what_builds_is_as_the_tests_have_it() -> None:
    def pinned(path: Path) -> set[str]:
        return set(re.findall(r"^\S+==\S+(?: ; [^\\]+)?", path.read_text(), re.MULTILINE))

    assert pinned(DEPLOY / "build.lock") <= pinned(ROOT / "requirements/dev.lock"), "run make lock"


def test_every_setting_that_it_names_exists() -> None:
    assert named_variables(DOCKERFILE) <= variables()


def tree(directory: Path) -> dict[Path, tuple[int, bytes]]:
    """All that is in a directory, with when it changed and what it holds."""
    paths = [directory, *directory.rglob("*")]
    return {path: (path.stat().st_mtime_ns, b"" if path.is_dir() else path.read_bytes()) for path in paths}


def test_the_model_that_is_fetched_is_only_read_by_every_variant(tmp_path: Path) -> None:
    (program,) = re.findall(r'python -c "(.+)"$', TEXT, re.MULTILINE)
    (fetched,) = re.findall(r"^ARG VARIANT=(.*)$", TEXT, re.MULTILINE)
    make_model(tmp_path / "model")
    models = tmp_path / "models"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AGENTMEM_")} | {
        "AGENTMEM_EMBEDDING_MODEL": str(tmp_path / "model"),
        "AGENTMEM_EMBEDDING_REVISION": "",
        "AGENTMEM_EMBEDDING_MIN_COSINE": "0.5",
        "AGENTMEM_EMBEDDING_CACHE_DIR": str(models),
        "HF_HUB_OFFLINE": "1",
    }

    def load(variant: str) -> None:
        done = subprocess.run(
            [sys.executable, "-c", program],
            check=False,
            capture_output=True,
            text=True,
            cwd=ROOT,
            env=environment | {"AGENTMEM_EMBEDDING_VARIANT": variant},
        )
        assert done.returncode == 0, done.stderr

    load(fetched)
    # With the vectors that other providers are compared with, too.
    assert list(models.glob("onnx/*.npy"))
    before = tree(models)
    for variant in VARIANTS["cpu"]:
        load(variant)
        assert tree(models) == before
