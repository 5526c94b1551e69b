"""``agentmem doctor``."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any, Final

import click

from agentmem import running
from agentmem.invocation import Invocation, pass_invocation

if TYPE_CHECKING:
    from agentmem.doctor.examine import Findings

_STYLES: Final = {"ok": "green", "warning": "yellow", "failed": "bold red", "skipped": "dim"}


@click.command()
@click.option(
    "--timeout",
    "limit_s",
    type=click.FloatRange(min=1),
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="How long one check may take.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@pass_invocation
def doctor(invocation: Invocation, /, limit_s: float, as_json: bool) -> None:
    """Look at every component and say what is wrong and what to do.

    Nothing is changed in Kafka, Postgres or Weaviate; the model is loaded as a worker loads it, which may
    download it. Exits with 0 when nothing failed; else with the exit code that all failures share, such as
    3 when something does not answer, and with 1 when they differ.

    \b
    Examples:
      agentmem doctor
      agentmem --config prod.toml doctor --json | jq '.checks[] | select(.status == "failed")'
    """
    from agentmem.doctor.checks import all_checks
    from agentmem.doctor.configured import invalid_settings
    from agentmem.doctor.examine import examine, exit_code
    from agentmem.output import show_json, show_table
    from agentmem.settings_sources import SettingsError

    # What the clients would log is what the checks find.
    _silence()
    findings: Findings
    try:
        settings, given = invocation.client_settings_with_sources()
    except SettingsError as error:
        findings = {"settings": invalid_settings(error)}
    else:
        findings = running.run(examine(all_checks(settings, given, invocation.config), limit_s))
    code = exit_code(findings)
    if as_json:
        show_json({"healthy": not code, "checks": _document(findings)})
    else:
        rows = [
            (found.status, name, found.detail, found.remedy) for name, part in findings.items() for found in part
        ]
        show_table(("status", "check", "finding", "what to do"), rows, _STYLES)
    sys.exit(code)


def _document(findings: Findings) -> list[dict[str, Any]]:
    return [
        {"check": name, "status": found.status, "detail": found.detail, "remedy": found.remedy or None}
        for name, part in findings.items()
        for found in part
    ]


def _silence() -> None:
    import structlog

    logging.disable()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
