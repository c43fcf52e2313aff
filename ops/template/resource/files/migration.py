"""The migration that adds the table of a resource."""

from string import Template

from ops.template.resource.files.naming import lines, names
from ops.template.resource.specification import Resource, indexes

_MIGRATION = Template('''"""$All that accounts own."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "$revision"
down_revision: str | None = "$down"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

$constants
# Name, columns.
INDEXES: tuple[tuple[str, tuple[str, ...]], ...] = (
    $indexes
)


def _time(name: str) -> sa.Column[object]:
    return sa.Column(
        name, sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
    )


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "$many",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("owner_id", sa.Uuid(), nullable=False),
        $columns
        sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        _time("created_at"),
        _time("updated_at"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_$many")),
        sa.UniqueConstraint("owner_id", "id", name=op.f("uq_${many}_owner_id_id")),
        sa.ForeignKeyConstraint(
            ["owner_id"], ["users.id"], name=op.f("fk_${many}_owner_id_users"), ondelete="CASCADE"
        ),
        $constraints
    )
    for name, columns in INDEXES:
        op.create_index(name, "$many", list(columns))


def downgrade() -> None:
    """Take back."""
    op.drop_table("$many")
''')


def _migration_constraints(resource: Resource) -> list[str]:
    table, found = resource.names.plural, []
    for field in resource.fields:
        column = field.name
        if field.unique:
            name = f"uq_{table}_owner_id_{column}"
            found.append(f'sa.UniqueConstraint("owner_id", "{column}", name=op.f("{name}")),')
        if field.target:
            other = field.target.plural
            found += [
                "sa.ForeignKeyConstraint(",
                f'["owner_id", "{column}"],',
                f'["{other}.owner_id", "{other}.id"],',
                f'name=op.f("fk_{table}_owner_id_{column}_{other}"),',
                "),",
            ]
        if "VALUES" in field.kind.constants:
            values = field.kind.constants.partition(" ")[0]
            check = f'f"{column} IN {{{values}}}"'
            found.append(f'sa.CheckConstraint({check}, name=op.f("ck_{table}_{column}")),')
    return found


def render(resource: Resource, package: str, revision: str, down: str) -> str:
    """The migration that adds the table."""
    enums = [field.kind.constants for field in resource.fields if "VALUES" in field.kind.constants]
    return _MIGRATION.substitute(
        names(resource, package),
        revision=revision,
        down=down,
        constants="\n".join(enums),
        indexes=lines([f"{index!r}," for index in indexes(resource)], 4),
        columns=lines(
            [
                f'sa.Column("{field.name}", {field.kind.column}, nullable={field.optional}),'
                for field in resource.fields
            ],
            8,
        ),
        constraints=lines(_migration_constraints(resource), 8),
    )
