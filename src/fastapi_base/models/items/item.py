"""Items: the example of a resource that users own."""

import uuid
from datetime import datetime

from sqlalchemy import DateTime, ForeignKey, Index, String, text
from sqlmodel import Field, SQLModel

from fastapi_base.core.ids import uuid7
from fastapi_base.models import base

ITEM_OWNER = "fk_items_owner_id_users"
TITLE_LENGTH = 200
DESCRIPTION_LENGTH = 5000


class Item(SQLModel, table=True):
    """An item with a title. `version` counts changes; `deleted_at` excludes it from all reads."""

    __tablename__ = "items"
    # One index per order of the list, ending in the primary key; deleted rows are in none of them.
    __table_args__ = (
        *(
            Index(
                f"ix_items_owner_id_{column}_id",
                "owner_id",
                column,
                "id",
                postgresql_where=text("deleted_at IS NULL"),
            )
            for column in ("created_at", "updated_at")
        ),
        # By code point, regardless of the database's collation, so it serves prefix filters too.
        Index(
            "ix_items_owner_id_title_c_id",
            "owner_id",
            "title",
            "id",
            postgresql_ops={"title": base.BY_CODE_POINTS},
            postgresql_where=text("deleted_at IS NULL"),
        ),
        # For the daily statistics, across all owners. On an expression, because a plan of the list
        # for all values would prefer an index on the column alone if there are few owners.
        Index("ix_items_created_at_utc", text("timezone('UTC', created_at)")),
        Index("ix_items_deleted_at", "deleted_at", postgresql_where=text("deleted_at IS NOT NULL")),
    )
    metadata = base.metadata

    id: uuid.UUID = Field(default_factory=uuid7, primary_key=True)
    owner_id: uuid.UUID = Field(
        sa_column_args=[ForeignKey("users.id", name=ITEM_OWNER, ondelete="CASCADE")]
    )
    title: str = Field(sa_type=String(TITLE_LENGTH))
    description: str | None = Field(default=None, sa_type=String(DESCRIPTION_LENGTH))
    version: int = Field(default=1, sa_column_kwargs={"server_default": text("1")})
    created_at: datetime = Field(
        sa_type=DateTime(timezone=True), sa_column_kwargs={"server_default": text("now()")}
    )
    updated_at: datetime = Field(
        sa_type=DateTime(timezone=True), sa_column_kwargs={"server_default": text("now()")}
    )
    deleted_at: datetime | None = Field(default=None, sa_type=DateTime(timezone=True))
