"""``agentmem completion``."""

from __future__ import annotations

import click

_SHELLS = ("bash", "zsh", "fish")


@click.command()
@click.argument("shell", type=click.Choice(_SHELLS))
def completion(shell: str) -> None:
    """Print the script that lets SHELL complete agentmem's commands and options.

    \b
    Examples:
      eval "$(agentmem completion bash)"                 for this shell; put it into ~/.bashrc for all
      eval "$(agentmem completion zsh)"                  the same, in ~/.zshrc
      agentmem completion fish > ~/.config/fish/completions/agentmem.fish
    """
    from click.shell_completion import get_completion_class

    from agentmem.cli import cli

    found = get_completion_class(shell)
    assert found is not None
    click.echo(found(cli, {}, "agentmem", "_AGENTMEM_COMPLETE").source())
