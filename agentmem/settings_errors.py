"""The sentence that says which setting is wrong, why, and where its value came from."""

from __future__ import annotations

import re
from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any, Final

from pydantic import BaseModel, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from agentmem.masking import MASK, masked
from agentmem.settings_sources import Given, Layer, Name, SettingsError

_CREDENTIALS: Final = re.compile(r"://[^/@\s]*@")


def explained(error: ValidationError, values: Layer, model: type[BaseModel]) -> SettingsError:
    """The error for the user: one line for each bad setting, with secrets masked."""
    fields = dict(each_setting(model))
    return SettingsError("\n".join(_sentence(detail, values, fields) for detail in error.errors()))


def each_setting(model: type[BaseModel], section: Name = ()) -> Iterator[tuple[Name, FieldInfo]]:
    """Every setting with its name, in the order in which they are declared."""
    for name, field in model.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from each_setting(inner, (*section, name))
        else:
            yield (*section, name), field


def _sentence(detail: ErrorDetails, values: Layer, fields: dict[Name, FieldInfo]) -> str:
    path: Name = tuple(map(str, detail["loc"]))[:2]
    given = values.get(path) or next(
        (value for name, value in values.items() if name[: len(path)] == path), Given(None, "the defaults")
    )
    dotted = ".".join(path)
    if detail["type"] == "extra_forbidden":
        close = get_close_matches(dotted, [".".join(name) for name in fields], n=1)
        hint = f"; did you mean {close[0]}?" if close else ""
        return f"setting {dotted}: there is no such setting (from {given.origin}){hint}"
    problem = detail["msg"].removeprefix("Value error, ").removeprefix("Input ")
    return f"setting {dotted}: {_masked(problem, given, fields.get(path))}, from {given.origin}"


def _masked(problem: str, given: Given, field: FieldInfo | None) -> str:
    """The problem with the value it is about, unless that is a secret or might hold one."""
    if field is None:
        return problem
    if _is_secret(field.annotation):
        text = given.value if isinstance(given.value, str) else ""
        return problem.replace(text, MASK) if text else problem
    return _CREDENTIALS.sub(f"://{MASK}@", masked(f"{problem}, not {given.value!r}"))


def _is_secret(annotation: Any) -> bool:
    return annotation is SecretStr or SecretStr in getattr(annotation, "__args__", ())
