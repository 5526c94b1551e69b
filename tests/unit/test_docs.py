"""The pages say all there is: each setting, metric, topic, endpoint, reason, exit code and command."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import gateway
from agentmem.cli import COMMANDS
from agentmem.doctor.checks import all_checks
from agentmem.exit_codes import ExitCode
from agentmem.settings import Settings
from gateway.http.problems import ApiError
from schemas.events import EventType
from schemas.headers import DeadLetterHeaders
from schemas.problems import DeadLetterReason, FailureReason, RecordRejectedError
from streams.dead_letters import dead_letter_headers
from streams.records import Record
from streams.settings import KafkaSettings
from streams.topics import Topics

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted(DOCS.glob("*.md"))]


def first_cells(page: str, section: str) -> set[str]:
    """The first cell of every table row below a heading, without backquotes."""
    text = (DOCS / page).read_text().split(f"\n## {section}\n", 1)[1].split("\n## ", 1)[0]
    return {row.split("|")[1].strip().strip("`") for row in text.splitlines() if row.startswith("|")}


def gateway_codes() -> set[str]:
    """The codes with which the gateway's source makes its errors."""
    calls = (
        node
        for path in Path(gateway.__path__[0]).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == ApiError.__name__
    )
    return {
        call.args[1].value
        for call in calls
        if len(call.args) > 1 and isinstance(call.args[1], ast.Constant) and isinstance(call.args[1].value, str)
    }


def test_generated_parts_are_up_to_date() -> None:
    done = subprocess.run(
        [sys.executable, str(DOCS / "generate.py"), "--check"], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("page", "parts"),
    [
        ("settings.md", {"settings"}),
        ("metrics.md", {"metrics"}),
        ("endpoints.md", {"endpoints", "worker-endpoints"}),
        ("cli.md", {"commands"}),
        ("produce.md", {"operations", "fields MemoryRequest", "fields Message"}),
        ("consume.md", {"fields EventHeaders", "fields EventBody", "fields EventMemory"}),
        ("errors.md", {"fields DeadLetterHeaders"}),
    ],
)
def test_generated_parts_are_in_their_pages(page: str, parts: set[str]) -> None:
    assert parts <= set(re.findall(r"<!-- begin (.+?) -->", (DOCS / page).read_text()))


def test_every_example_is_quoted() -> None:
    quoted = {name for page in PAGES for name in re.findall(r"<!-- begin example (.+?) -->", page.read_text())}
    assert quoted == {path.name for path in (ROOT / "examples").iterdir() if path.is_file()}


def test_every_reason_is_explained() -> None:
    assert first_cells("errors.md", "Dead letters") >= {reason.value for reason in DeadLetterReason}
    assert first_cells("errors.md", "Failed requests") >= {reason.value for reason in FailureReason}


def test_every_error_code_of_the_gateway_is_explained() -> None:
    text = (DOCS / "errors.md").read_text().split("\n## The gateway\n")[1].split("\n## ")[0]
    codes = gateway_codes()
    assert codes
    assert not {code for code in codes if f"`{code}`" not in text}


def test_every_exit_code_is_explained() -> None:
    text = (DOCS / "errors.md").read_text()
    assert not {code.name for code in ExitCode if f"| {code.value} | `{code.name}` |" not in text}


def test_every_event_type_is_explained() -> None:
    text = (DOCS / "consume.md").read_text()
    assert not {kind.value for kind in EventType if f"| `{kind.value}` |" not in text}


def test_every_topic_is_explained() -> None:
    topics, text = Topics.of(KafkaSettings()), (DOCS / "topics.md").read_text()
    assert not {
        name for name in (topics.requests, topics.events, topics.dead_letters) if f"| `{name}` |" not in text
    }


def test_every_command_is_explained() -> None:
    text = (DOCS / "cli.md").read_text()
    assert not {name for name in COMMANDS if f"## agentmem {name}\n" not in text}


def test_every_check_of_the_doctor_is_explained() -> None:
    symptoms = (DOCS / "troubleshoot.md").read_text().split("\n## Symptoms\n")[1].split("\n## ")[0]
    assert not {check.name for check in all_checks(Settings(), {}, None) if f"`{check.name}`" not in symptoms}


def test_dead_letters_have_the_headers_that_are_described() -> None:
    record = Record("memory-requests", 1, 2, 3, b"key", b"value", (("own", b"header"),))
    headers = dead_letter_headers(record, RecordRejectedError(DeadLetterReason.INVALID_JSON, "no"), "decode")
    assert headers[0] == ("own", b"header")
    described = DeadLetterHeaders.model_validate({name: (value or b"").decode() for name, value in headers[1:]})
    assert [name for name, _ in headers[1:]] == [field.alias for field in DeadLetterHeaders.model_fields.values()]
    assert (described.offset, described.stage, described.reason) == (2, "decode", DeadLetterReason.INVALID_JSON)


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    prose = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)]+)\)", prose):
        if target.startswith("https://"):
            continue
        name, _, anchor = target.partition("#")
        linked = page.parent / name if name else page
        assert linked.exists(), target
        assert not anchor or anchor in anchors(linked), target
