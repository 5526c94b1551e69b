"""Writes what follows from the code: ``python docs/generate.py [--check]``.

That is ``openapi.json``, and the tables in these pages: a table stands between ``<!-- begin NAME -->`` and
``<!-- end NAME -->``; examples are quoted in the same way.
"""

from __future__ import annotations

import argparse
import inspect
import json
import re
import sys
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages
from typing import Any, Final

import click
from prometheus_client.metrics import MetricWrapperBase
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from agentmem.cli import cli
from agentmem.settings import Settings
from agents.health import ROUTES as WORKER_ROUTES
from gateway.openapi.document import openapi_document
from gateway.routes import ALL as ROUTES
from schemas.events import EventBody, EventMemory
from schemas.headers import DeadLetterHeaders, EventHeaders
from schemas.live import is_live
from schemas.operations import RULES
from schemas.requests import MemoryRequest, Message

DOCS: Final = Path(__file__).parent
OPENAPI: Final = DOCS / "openapi.json"
EXAMPLES: Final = DOCS.parent / "examples"
_BLOCK: Final = re.compile(r"<!-- begin (?P<name>.+?) -->\n.*?<!-- end (?P=name) -->", re.DOTALL)
_LANGUAGES: Final = {".py": "python", ".sh": "sh", ".cjs": "javascript"}


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def fields(model: type[BaseModel]) -> str:
    """The fields of a model with their descriptions."""
    return table(
        ("field", "required", "meaning"),
        [
            (f"`{field.alias or name}`", "yes" if field.is_required() else "", described(model, name, field))
            for name, field in model.model_fields.items()
        ],
    )


def described(model: type[BaseModel], name: str, field: FieldInfo) -> str:
    """A field's description; without one there is nothing to print, so it is an error."""
    if not field.description:
        raise SystemExit(f"{model.__name__}.{name} has no description: give its Field one")
    return field.description


def operations() -> str:
    """Which fields each operation takes."""
    order = list(MemoryRequest.model_fields)
    rows = []
    for op, rules in RULES.items():
        needs = [" or ".join(f"`{field}`" for field in group) for group in (*rules.needs, rules.one_of) if group]
        others = sorted(
            rules.takes - {field for group in (*rules.needs, rules.one_of) for field in group}, key=order.index
        )
        rows.append((f"`{op}`", "; ".join(needs), ", ".join(f"`{field}`" for field in others)))
    return table(("op", "needs", "may have"), rows)


def settings(model: type[BaseModel] = Settings, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Each setting: name, environment variable, default, whether it may change while a process runs, meaning."""
    for name, field in model.model_fields.items():
        here = (*path, name)
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from settings(field.annotation, here)
        else:
            variable = "_".join(("AGENTMEM", *here)).upper()
            yield (
                f"`{'.'.join(here)}`",
                f"`{variable}`",
                _default(field),
                _live(field),
                described(model, name, field),
            )


def _live(field: FieldInfo) -> str:
    return "yes" if is_live(field) else ""


def _default(field: FieldInfo) -> str:
    if field.default_factory is not None:
        return "in the user's cache folder" if field.annotation is Path else "see the meaning"
    value = field.default
    if value is None or value is PydanticUndefined:
        return "none"
    text = value.get_secret_value() if hasattr(value, "get_secret_value") else str(value)
    return f"`{text}`" if text else "empty"


def metrics() -> list[tuple[str, ...]]:
    """Each metric: name, kind, labels, meaning."""
    found: dict[str, MetricWrapperBase] = {}
    for package in ("streams", "infra", "agents", "gateway", "agentmem"):
        for module in walk_packages(import_module(package).__path__, f"{package}."):
            if ".migrations" in module.name or module.name.endswith("__main__"):
                continue  # they do their work when imported
            for value in vars(import_module(module.name)).values():
                if isinstance(value, MetricWrapperBase):
                    found[next(iter(value.describe())).name] = value
    rows: list[tuple[str, ...]] = []
    for name, metric in sorted(found.items()):
        family = next(iter(metric.describe()))
        suffix = "_total" if family.type == "counter" else ""
        labels = ", ".join(f"`{label}`" for label in metric._labelnames)
        rows.append((f"`{name}{suffix}`", family.type, labels, family.documentation))
    return rows


def endpoints() -> list[tuple[str, ...]]:
    """Each route: method and path, what its key must allow, meaning."""
    return [
        (
            f"`{route.method} {route.path}`",
            route.scope or "no key",
            summary(route.handler),
        )
        for route in ROUTES
    ]


def worker_endpoints() -> list[tuple[str, ...]]:
    """Each route of the worker: method and path, meaning."""
    return [(f"`{route.method} {route.path}`", summary(route.handler)) for route in WORKER_ROUTES]


def summary(handler: object) -> str:
    """What a route does, by its handler's docstring."""
    return " ".join((inspect.getdoc(handler) or "").replace("``", "`").split())


def commands(
    command: click.Command = cli, name: str = "agentmem", parent: click.Context | None = None
) -> Iterator[str]:
    """Each command's help."""
    options = dict(command.context_settings) | {"max_content_width": 100, "terminal_width": 100}
    context = click.Context(command, info_name=name, parent=parent, **options)
    yield f"## {context.command_path}\n\n```text\n{command.get_help(context)}\n```"
    if isinstance(command, click.Group):
        for child in command.list_commands(context):
            found = command.get_command(context, child)
            assert found is not None
            yield from commands(found, child, context)


def block(name: str) -> str:
    """What belongs between the markers of this name."""
    kind, _, argument = name.partition(" ")
    match kind:
        case "example":
            path = EXAMPLES / argument
            return f"```{_LANGUAGES[path.suffix]}\n{path.read_text()}```"
        case "fields":
            models: list[type[BaseModel]] = [
                *(MemoryRequest, Message, EventBody, EventMemory, EventHeaders, DeadLetterHeaders)
            ]
            return fields(next(model for model in models if model.__name__ == argument))
    blocks: dict[str, Any] = {
        "operations": operations,
        "settings": lambda: table(
            ("setting", "environment variable", "default", "live", "meaning"), list(settings())
        ),
        "metrics": lambda: table(("metric", "kind", "labels", "meaning"), metrics()),
        "endpoints": lambda: table(("call", "the key needs", "what it does"), endpoints()),
        "worker-endpoints": lambda: table(("call", "what it does"), worker_endpoints()),
        "commands": lambda: "\n\n".join(commands()),
    }
    return str(blocks[name]())


def page(text: str) -> str:
    """The page with every generated part made anew."""
    return _BLOCK.sub(
        lambda found: f"<!-- begin {found['name']} -->\n{block(found['name'])}\n<!-- end {found['name']} -->", text
    )


def main() -> int:
    """The command. Exit code 1: with ``--check``, a page is stale."""
    parser = argparse.ArgumentParser(prog="python docs/generate.py", description="Writes the generated tables.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if a page is stale")
    check = parser.parse_args().check
    made = {path: page(path.read_text()) for path in sorted(DOCS.glob("*.md"))}
    made[OPENAPI] = json.dumps(openapi_document(ROUTES), indent=1, ensure_ascii=False) + "\n"
    stale = {path: new for path, new in made.items() if not path.exists() or path.read_text() != new}
    if not check:
        for path, text in stale.items():
            path.write_text(text)
        return 0
    for path in stale:
        sys.stderr.write(f"{path.name} is stale: run python docs/generate.py and commit the result\n")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
