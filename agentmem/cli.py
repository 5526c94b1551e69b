"""The ``agentmem`` command: its options, its commands, and how each error ends it."""

from __future__ import annotations

import logging
import sys
from importlib import import_module
from pathlib import Path
from typing import Final, NoReturn

import click

import agentmem
from agentmem.exit_codes import CommandError, ExitCode
from agentmem.invocation import Invocation
from schemas.problems import GaveUpError, MisconfiguredError, StalledError, StoreUnavailableError

#: Where each command lives; a module is imported when its command is asked for.
COMMANDS: Final = {
    "run": "agentmem.commands.demo:run",
    "stack": "agentmem.commands.stack:stack",
    "migrate": "agentmem.commands.migrate:migrate",
    "topics": "agentmem.commands.topics:topics",
    "projects": "agentmem.commands.projects:projects",
    "keys": "agentmem.commands.keys:keys",
    "worker": "agentmem.commands.worker:worker",
    "gateway": "agentmem.commands.gateway:gateway",
    "import": "agentmem.commands.import_:import_",
    "search": "agentmem.commands.search:search",
    "history": "agentmem.commands.history:history",
    "tail": "agentmem.commands.tail:tail",
    "events": "agentmem.commands.events:events",
    "dlq": "agentmem.commands.dlq:dlq",
    "export": "agentmem.commands.export:export",
    "forget": "agentmem.commands.forget:forget",
    "verify": "agentmem.commands.verify:verify",
    "rebuild": "agentmem.commands.rebuild:rebuild",
    "replay": "agentmem.commands.replay:replay",
    "backup": "agentmem.commands.backup:backup",
    "restore": "agentmem.commands.restore:restore",
    "doctor": "agentmem.commands.doctor:doctor",
    "config": "agentmem.commands.config:config",
    "bench": "agentmem.commands.bench:bench",
    "completion": "agentmem.commands.completion:completion",
}


class Commands(click.Group):
    """A group whose commands are imported on demand, listed in the order in which one meets them."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 (click names it)
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        module, name = COMMANDS[cmd_name].split(":")
        command = getattr(import_module(module), name)
        assert isinstance(command, click.Command)
        return command


def _overrides(_ctx: click.Context, _option: click.Parameter, given: tuple[str, ...]) -> dict[str, str]:
    pairs = [text.partition("=") for text in given]
    for name, equals, _ in pairs:
        if not name or not equals:
            raise click.BadParameter(f"{name!r} is not of the form section.field=value")
    return {name: value for name, _, value in pairs}


@click.command(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(agentmem.__version__, prog_name="agentmem")
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    help="Settings file, TOML or YAML. [env: AGENTMEM_CONFIG]",
)
@click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="SECTION.FIELD=VALUE",
    callback=_overrides,
    help="Set one setting, above the environment and the file. Repeat for more.",
)
@click.option("--debug", is_flag=True, help="Show a traceback when a command fails.")
@click.pass_context
def cli(ctx: click.Context, config: Path | None, overrides: dict[str, str], debug: bool) -> None:
    """AgentMem: a memory for AI agents, fed through Kafka.

    Every setting can be given by --set, by an environment variable (kafka.group is AGENTMEM_KAFKA_GROUP)
    or in a file, in this order of precedence. All that only talk to a stack (search, import, history, tail,
    events, doctor, config) also find one that runs in this folder by themselves.

    \b
    Examples:
      agentmem run                            see it work: a local stack and a demonstration
      agentmem import chat.jsonl --user alice --wait
      agentmem search "what does she like?" --user alice
      agentmem --config prod.toml worker
      agentmem doctor                         what is wrong, and what to do
    """
    ctx.obj = Invocation(config, overrides)
    ctx.meta["agentmem.debug"] = debug


def main() -> NoReturn:
    """Run the command line and exit with one of :class:`ExitCode`."""
    debug = "--debug" in sys.argv[1:]
    try:
        code = cli.main(prog_name="agentmem", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        code = ExitCode.USAGE if isinstance(error, click.UsageError) else ExitCode.FAILED
    except (click.Abort, KeyboardInterrupt):
        code = ExitCode.INTERRUPTED
    except Exception as error:
        if debug:
            raise
        code = _explain(error)
    sys.exit(code or ExitCode.OK)


def _explain(error: Exception) -> ExitCode:
    """Say on stderr what went wrong; returns the exit code for it."""
    from agentmem.settings_sources import SettingsError

    message, code = str(error), ExitCode.FAILED
    match error:
        case CommandError():
            code = error.code
        case SettingsError():
            code = ExitCode.USAGE
        case StoreUnavailableError() | StalledError():
            code = ExitCode.UNAVAILABLE
        case MisconfiguredError():
            code = ExitCode.MISCONFIGURED
        case GaveUpError():
            # The log may be a file, and what it was that failed is for who mends it.
            logging.getLogger(__name__).critical("the worker gave up: %s", error, exc_info=error.__cause__)
        case _:
            if logging.root.handlers:  # a long-running command: nobody is there to run it again with --debug
                logging.getLogger(__name__).critical("stopped by an unexpected error", exc_info=error)
            message = f"unexpected {type(error).__name__}: {error} (agentmem --debug shows where)"
    for line in message.splitlines():
        click.echo(f"Error: {line}", err=True)
    return code
