"""The names that nothing can have are those that Pydantic, SQLModel and PostgreSQL reserve."""

from sqlalchemy.dialects.postgresql.base import RESERVED_WORDS
from sqlmodel import SQLModel

from fastapi_base.models import Item
from ops.template.resource import reserved


def test_attributes_of_models_are_reserved() -> None:
    public = {name for name in dir(SQLModel) if not name.startswith(("_", "model_"))}
    assert public <= reserved.MODEL
    assert all(reserved.of_field(name) for name in dir(SQLModel) if name.startswith("model_"))


def test_words_of_sql_are_reserved() -> None:
    assert set(RESERVED_WORDS) <= reserved.SQL
    assert "order" in reserved.SQL


def test_columns_of_every_resource_are_reserved() -> None:
    common = {"id", "owner_id", "version", "created_at", "updated_at"}
    assert common == reserved.COLUMNS
    assert common <= set(Item.model_fields)  # not the slice: an example
