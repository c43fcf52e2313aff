"""The request and response models of a resource."""

from string import Template

from ops.template.resource.files.naming import lines, names
from ops.template.resource.specification import Field, Resource

_SCHEMA = Template('''"""$All in their wire format."""

import uuid
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StringConstraints

$constants
from $package.schemas.changes import Changes, absent
from $package.schemas.identity.user import Email
from $package.schemas.moment import Day, Moment
from $package.schemas.numbers import FixedPoint, Integer
from $package.schemas.text import Text, one_line
from $package.schemas.url import Url

BULK_MAX = 500
$types


class ${Model}Create(BaseModel):
    """A new $words."""

    model_config = ConfigDict(extra="forbid")

    $created


class ${Model}Update(Changes):
    """Changes to $an (RFC 7396)."""

    $updated


class ${Model}Read(BaseModel):
    """$An."""

    model_config = ConfigDict(from_attributes=True)

    id: uuid.UUID = Field(examples=["0197a5b0-7c3f-7b61-9d43-0f4a2f6d1c55"])
    $read
    version: int = Field(description="Incremented by each change; also in `ETag`.", examples=[1])
    created_at: datetime = Field(examples=["2026-01-31T12:00:00Z"])
    updated_at: datetime = Field(examples=["2026-01-31T12:00:00Z"])


class ${Models}Create(BaseModel):
    """Many new $all: all are created, or none."""

    model_config = ConfigDict(extra="forbid")

    items: list[${Model}Create] = Field(min_length=1, max_length=BULK_MAX, examples=[[{$example}]])


class ${Models}Created(BaseModel):
    """The ids of the new $all, in the order of the request."""

    ids: list[uuid.UUID] = Field(examples=[["0197a5b0-7c3f-7b61-9d43-0f4a2f6d1c55"]])
''')


def _created(field: Field) -> str:
    example = f"examples=[{field.kind.example}]"
    if field.optional:
        return f"{field.name}: {field.kind.schema} | None = Field(default=None, {example})"
    return f"{field.name}: {field.kind.schema} = Field({example})"


def _updated(field: Field) -> str:
    if field.optional:
        return f"{field.name}: {field.kind.schema} | None = Field(default=None, examples=[None])"
    default = f"default_factory=absent, examples=[{field.kind.example}]"
    return f"{field.name}: {field.kind.schema} = Field({default})"


def _read(field: Field) -> str:
    annotation = f"{field.kind.read} | None" if field.optional else field.kind.read
    return f"{field.name}: {annotation} = Field(examples=[{field.kind.example}])"


def render(resource: Resource, package: str) -> str:
    """The module of request and response models."""
    given = names(resource, package)
    limits = [
        field.kind.constants.partition(" ")[0]
        for field in resource.fields
        if "LENGTH" in field.kind.constants
    ]
    types = dict.fromkeys(field.kind.types for field in resource.fields if field.kind.types)
    required = (field for field in resource.fields if not field.optional)
    example = [f'"{field.name}": {field.kind.example}' for field in required]
    module = f"{resource.names.plural}.{resource.names.singular}"
    return _SCHEMA.substitute(
        given,
        An=given["an"].capitalize(),
        constants=f"from {package}.models.{module} import {', '.join(limits)}" if limits else "",
        types="\n".join(types),
        created=lines([_created(field) for field in resource.fields], 4),
        updated=lines([_updated(field) for field in resource.fields], 4),
        read=lines([_read(field) for field in resource.fields], 4),
        example=", ".join(example),
    )
