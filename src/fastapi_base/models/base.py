"""Shared by all tables: one metadata with a naming convention for constraints."""

from sqlmodel import SQLModel

# Predictable names: migrations drop constraints by name, and errors are mapped by name.
NAMING_CONVENTION = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}

# `postgresql_ops` for text columns that lists are sorted by. The collation takes the place of an
# operator class: Alembic would report an expression with a collation as a different index.
BY_CODE_POINTS = 'COLLATE "C"'

# The key in a constraint's `info` for what the caller is told when the constraint is violated.
CONFLICT = "conflict"

# The length of columns for URLs.
URL_MAX = 2000

metadata = SQLModel.metadata
metadata.naming_convention = NAMING_CONVENTION
