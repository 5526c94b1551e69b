"""Which fields each operation takes and needs: one table for the model, its JSON Schema and the docs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from schemas.scope import ENTITY_FIELDS

Operation = Literal["add", "update", "delete", "delete_all"]

#: Fields that every operation takes.
COMMON_FIELDS: Final = frozenset({"schema_version", "request_id", "op", "project", *ENTITY_FIELDS, "timestamp"})
#: Fields in which null is a value of its own: it clears what is stored. Elsewhere null is the same as absence.
CLEARABLE_FIELDS: Final = frozenset({"expiration_date"})


@dataclass(frozen=True, slots=True)
class OperationRules:
    """The rules of one operation.

    ``takes`` are the fields it may have beside the common ones; of each group in ``needs`` it must have at
    least one; of the fields in ``one_of`` it must have exactly one (empty: no such rule).
    """

    takes: frozenset[str]
    needs: tuple[tuple[str, ...], ...] = ()
    one_of: tuple[str, ...] = ()


RULES: Final[Mapping[Operation, OperationRules]] = {
    "add": OperationRules(
        takes=frozenset({"messages", "text", "metadata", "expiration_date", "infer", "vector"}),
        needs=(ENTITY_FIELDS,),
        one_of=("messages", "text"),
    ),
    "update": OperationRules(
        takes=frozenset({"memory_id", "text", "metadata", "expiration_date", "vector", "expected_version"}),
        needs=(("memory_id",), ("text", "metadata", "expiration_date")),
    ),
    "delete": OperationRules(takes=frozenset({"memory_id", "expected_version"}), needs=(("memory_id",),)),
    "delete_all": OperationRules(takes=frozenset({"present"}), needs=((*ENTITY_FIELDS, "present"),)),
}


def problem_with(op: Operation, given: frozenset[str], cleared: frozenset[str]) -> str | None:
    """What is wrong with the choice of fields, or None.

    ``given`` are the fields present with a value, ``cleared`` those present as null.
    """
    rules = RULES[op]
    if foreign := given - COMMON_FIELDS - rules.takes:
        return f"op {op} does not take {', '.join(sorted(foreign))}"
    if rules.one_of and len(given & set(rules.one_of)) != 1:
        return f"op {op} takes either {' or '.join(rules.one_of)}"
    present = given | (cleared & CLEARABLE_FIELDS)
    for group in rules.needs:
        if not present & set(group):
            return f"op {op} needs " + (group[0] if len(group) == 1 else f"at least one of {', '.join(group)}")
    return None


def add_rules_to_schema(schema: dict[str, Any]) -> None:
    """Write the rules into the JSON Schema of a request as one if-then for each operation."""
    schema["allOf"] = [
        {"if": {"properties": {"op": {"const": op}}, "required": ["op"]}, "then": _then(rules, schema)}
        for op, rules in RULES.items()
    ]


def _then(rules: OperationRules, schema: dict[str, Any]) -> dict[str, Any]:
    fields = [field for field in schema["properties"] if field not in COMMON_FIELDS]
    then: dict[str, Any] = {
        "properties": {field: {"type": "null"} for field in fields if field not in rules.takes},
        "allOf": [{"anyOf": [_present(field) for field in group]} for group in rules.needs],
    }
    if rules.one_of:
        then["oneOf"] = [_present(field) for field in rules.one_of]
    if "vector" in rules.takes:
        single = [_present("text")]
        if "messages" in rules.takes:
            single.append({"properties": {"messages": {"type": "array", "maxItems": 1}}, "required": ["messages"]})
        then |= {"if": _present("vector"), "then": {"anyOf": single}}
    return then


def _present(field: str) -> dict[str, Any]:
    if field in CLEARABLE_FIELDS:
        return {"required": [field]}
    return {"required": [field], "properties": {field: {"not": {"type": "null"}}}}
