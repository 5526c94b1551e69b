"""``agentmem config``."""

from __future__ import annotations

import click
from click.shell_completion import CompletionItem

from agentmem.invocation import Invocation, pass_invocation


def _sections(_ctx: click.Context, _option: click.Parameter, incomplete: str) -> list[CompletionItem]:
    from agentmem.settings import Settings

    return [CompletionItem(name) for name in Settings.model_fields if name.startswith(incomplete)]


@click.command()
@click.argument("section", required=False, shell_complete=_sections)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, by the settings' names.")
@pass_invocation
def config(invocation: Invocation, /, section: str | None, as_json: bool) -> None:
    """Show the settings in force, and where each comes from; all, those of a SECTION, or one.

    Secrets are masked. The settings are those of a command run here and now, with the addresses of a local
    stack that runs in this folder.

    \b
    Examples:
      agentmem config
      agentmem --config prod.toml config kafka
      agentmem config postgres.dsn --json
    """
    from agentmem.output import show_json, show_table
    from agentmem.settings_effective import effective

    everything = effective(*invocation.client_settings_with_sources())
    shown = [one for one in everything if section is None or f"{one.name}.".startswith(f"{section}.")]
    if not shown:
        sections = dict.fromkeys(one.name.partition(".")[0] for one in everything)
        raise click.UsageError(f"there is no section or setting {section}; there are {', '.join(sections)}")
    if as_json:
        show_json({one.name: {"value": one.value, "source": one.source} for one in shown})
        return
    show_table(("setting", "value", "source"), [(one.name, one.value, one.source) for one in shown])
