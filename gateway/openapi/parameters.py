"""The parameters of operations, each a field of a model."""

from __future__ import annotations

from typing import Any, Final, Literal
from uuid import UUID

from pydantic import BaseModel, Field
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue

#: A memory's id in examples.
EXAMPLE_ID: Final = "8b6e2a3e-5d0f-5f0b-9a51-5c2f1d1f9a10"
_NULL: Final = {"type": "null"}
REFERENCE: Final = "#/components/schemas/{model}"


class Untitled(GenerateJsonSchema):
    """JSON Schemas in which fields have no titles: they would only repeat their names."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002
        return False


class PathParameters(BaseModel):
    """What stands in paths."""

    memory_id: UUID = Field(description="The memory's id.")
    event_id: str = Field(description="A request's id.")
    kind: Literal["user", "agent", "app", "run"] = Field(description="What kind of entity it is.")
    name: str = Field(min_length=1, description="The entity's id.")
    organisation: str = Field(description="The organisation that `GET /v1/ping/` names.")
    project: str = Field(description="The project that `GET /v1/ping/` names.")
    project_id: str = Field(description="The project that `GET /v1/ping/` names.")
    webhook_id: UUID = Field(description="The webhook's id.")
    delivery_id: int = Field(description="The delivery's id.")
    key_id: UUID = Field(description="The key's id, which is not its token.")
    asset: str = Field(description="The file's name.")
    job_id: str = Field(description="A job's id.")


class Idempotent(BaseModel):
    """The headers of a write."""

    idempotency_key: str | None = Field(
        None,
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        pattern="^[ -~]+$",
        description="The same call again with the same key is the same request, which is carried out once.",
    )


class Conditional(Idempotent):
    """The headers of a write to one memory."""

    if_match: str | None = Field(
        None,
        alias="If-Match",
        pattern=r'^("[1-9][0-9]{0,8}"|\*)$',
        description="Only this version, by the `ETag` of a GET; `*` is any.",
        examples=['"3"'],
    )


class Resumable(BaseModel):
    """The headers of an event stream."""

    last_event_id: str | None = Field(
        None, alias="Last-Event-ID", description="The cursor to go on from; it comes before the query's `from`."
    )


def parameters(
    model: type[BaseModel], where: Literal["path", "query", "header"], names: set[str] | None = None
) -> tuple[list[JsonSchemaValue], JsonSchemaValue]:
    """The model's fields as parameters (those named, None: all), and the schemas that they refer to."""
    schema = model.model_json_schema(ref_template=REFERENCE, schema_generator=Untitled)
    found = [
        _parameter(name, where, field, name in schema.get("required", ()))
        for name, field in schema["properties"].items()
        if names is None or name in names
    ]
    return found, schema.get("$defs", {})


def _parameter(name: str, where: str, field: JsonSchemaValue, required: bool) -> JsonSchemaValue:
    schema = dict(field)
    description = schema.pop("description", None)
    if description is None:
        raise LookupError(f"the parameter {name} has no description")
    # Null is how a model says that a field may be absent; a parameter just is.
    if (kinds := [kind for kind in schema.get("anyOf", ()) if kind != _NULL]) and "default" in schema:
        del schema["default"]
        schema = {**schema, "anyOf": kinds} if len(kinds) > 1 else {**kinds[0], **_without(schema, "anyOf")}
    return {"name": name, "in": where, "required": required, "description": description, "schema": schema}


def _without(schema: JsonSchemaValue, name: str) -> JsonSchemaValue:
    return {key: value for key, value in schema.items() if key != name}
