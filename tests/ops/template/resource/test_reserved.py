"""The names that nothing can have are those that Pydantic, SQLModel and PostgreSQL reserve."""

from sqlalchemy.dialects.postgresql.base import RESERVED_WORDS
from sqlmodel import SQLModel

from ops.template.resource import reserved


def test_attributes_of_models_are_reserved() -> None:
    public = {name for name in dir(SQLModel) if not name.startswith(("_", "model_"))}
    assert public <= reserved.MODEL
    assert all(reserved.of_field(name) for name in dir(SQLModel) if name.startswith("model_"))


def test_words_of_sql_are_reserved() -> None:
    assert set(RESERVED_WORDS) <= reserved.SQL
    assert "order" in reserved.SQL


def test_columns_of_every_resource_are_reserved() -> None:
    assert reserved.of_field("owner_id") == "a column of every resource"
    assert reserved.of_field("title") is None
