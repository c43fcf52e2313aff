"""The table of a resource."""

from string import Template

from ops.template.resource.files.naming import lines, names
from ops.template.resource.specification import Field, Resource, indexes

_MODEL = Template('''"""$All that accounts own."""

import uuid
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    DateTime,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Numeric,
    String,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

from $package.core.emails import EMAIL_MAX
from $package.core.ids import uuid7
from $package.models import base

$constants


class $Model(SQLModel, table=True):
    """$An with an owner. `version` counts changes."""

    __tablename__ = "$many"
    __table_args__ = (
        # References of other tables include the owner, so they never cross accounts.
        UniqueConstraint("owner_id", "id"),
        $constraints
        # One index per set of filters of the list, ending in the primary key.
        $indexes
    )
    metadata = base.metadata

    id: uuid.UUID = Field(default_factory=uuid7, primary_key=True)
    owner_id: uuid.UUID = Field(sa_column_args=[ForeignKey("users.id", ondelete="CASCADE")])
    $fields
    version: int = Field(default=1, sa_column_kwargs={"server_default": text("1")})
    created_at: datetime = Field(
        sa_type=DateTime(timezone=True), sa_column_kwargs={"server_default": text("now()")}
    )
    updated_at: datetime = Field(
        sa_type=DateTime(timezone=True), sa_column_kwargs={"server_default": text("now()")}
    )
''')


def _model_field(field: Field) -> str:
    annotation = f"{field.kind.model} | None" if field.optional else field.kind.model
    options = ["default=None"] if field.optional and field.kind.sa_type else []
    if field.kind.sa_type:
        options.append(f"sa_type={field.kind.sa_type}")
    value = f" = Field({', '.join(options)})" if options else " = None" if field.optional else ""
    return f"{field.name}: {annotation}{value}"


def _model_constraints(resource: Resource) -> list[str]:
    found = []
    for field in resource.fields:
        if field.unique:
            said = f"Another {resource.names.words} has this {field.words}"
            found.append(
                f'UniqueConstraint("owner_id", "{field.name}", info={{base.CONFLICT: "{said}"}}),'
            )
        if field.target:
            said = f"The {field.target.words} does not exist or is in use"
            found += [
                "ForeignKeyConstraint(",
                f'["owner_id", "{field.name}"],',
                f'["{field.target.plural}.owner_id", "{field.target.plural}.id"],',
                f'info={{base.CONFLICT: "{said}"}},',
                "),",
            ]
        if field.kind.parameter and "VALUES" in field.kind.constants:
            values = field.kind.constants.partition(" ")[0]
            check = f'f"{field.name} IN {{{values}}}"'
            found.append(f'CheckConstraint({check}, name="{field.name}"),')
    return found


def render(resource: Resource, package: str) -> str:
    """The module of the table."""
    given = names(resource, package)
    return _MODEL.substitute(
        given,
        An=given["an"].capitalize(),
        constants="\n".join(f.kind.constants for f in resource.fields if f.kind.constants),
        constraints=lines(_model_constraints(resource), 8),
        indexes=lines(
            [
                f'Index("{name}", {", ".join(repr(column) for column in columns)}),'
                for name, columns in indexes(resource)
            ],
            8,
        ),
        fields=lines([_model_field(field) for field in resource.fields], 4),
    )
