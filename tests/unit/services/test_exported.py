"""The export misses no account data and discloses nothing by mistake."""

import uuid
from collections.abc import Iterator

import pytest
from sqlalchemy import Column, ForeignKey, LargeBinary, MetaData, Table, Uuid

from fastapi_base.models import metadata
from fastapi_base.services.privacy.exported import EXPORTED, LEFT_OUT, Part

# Columns that refer to accounts without a foreign key.
NAMES = {"actor_id", "invited_by", "owner_id", "subject_id", "user_id", "user_ids"}


def of_accounts(tables: MetaData) -> set[str]:
    """Tables whose rows belong to accounts, by their columns or by the rows that they reference."""
    found = {"users"}
    while True:
        more = {
            table.name
            for table in tables.tables.values()
            if NAMES & set(table.columns.keys())
            or found & {key.column.table.name for key in table.foreign_keys}
        }
        if more <= found:
            return found
        found |= more


def test_every_account_table_is_exported_or_excluded_for_a_reason() -> None:
    exported = {str(part.table.__tablename__) for part in EXPORTED}
    assert exported | set(LEFT_OUT) == of_accounts(metadata)
    assert not exported & set(LEFT_OUT)
    assert all(LEFT_OUT.values())
    assert len({part.name for part in EXPORTED}) == len(EXPORTED)


def test_new_table_is_detected() -> None:
    tables = MetaData()
    for table in metadata.tables.values():
        table.to_metadata(tables)
    before = of_accounts(tables)
    Table("notes", tables, Column("user_id", Uuid))
    Table("boards", tables, Column("whose", Uuid, ForeignKey("users.id")), Column("id", Uuid))
    Table("cards", tables, Column("board", Uuid, ForeignKey("boards.id")))
    assert of_accounts(tables) - before == {"notes", "boards", "cards"}


def columns(part: Part) -> Iterator[Column[object]]:
    yield from part.table.__table__.columns  # type: ignore[attr-defined]


@pytest.mark.parametrize("part", EXPORTED, ids=lambda part: part.name)
def test_every_column_is_exported_or_hidden(part: Part) -> None:
    shown = set(part.rows(uuid.uuid4()).selected_columns.keys())
    assert shown | part.hidden == {column.key for column in columns(part)}
    assert not shown & part.hidden
    # Digests, keys and ciphertext are bytes here.
    secret = {column.key for column in columns(part) if isinstance(column.type, LargeBinary)}
    assert secret <= part.hidden
