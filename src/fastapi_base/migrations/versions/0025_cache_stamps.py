"""Each change of what an account owns changes a number, which says what the cache may answer."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0025"
down_revision: str | None = "0024"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

# Tables with `owner_id` of which entries are cached.
OWNED: tuple[str, ...] = (
    "items",  # slice: items
)
# Random, so that no number comes again, neither by a counter nor after a restore. A row that
# another transaction has locked is passed by, and a second one added: nobody waits, so no
# transaction can deadlock here, in whatever order it changes things.
CHANGED = """
CREATE FUNCTION cache_changed(what uuid) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    fresh bigint := hashtextextended(gen_random_uuid()::text, 0);
BEGIN
    UPDATE cache_stamps SET stamp = fresh WHERE id = (
        SELECT id FROM cache_stamps WHERE scope = what LIMIT 1 FOR UPDATE SKIP LOCKED
    );
    IF NOT FOUND THEN
        INSERT INTO cache_stamps (scope, stamp) VALUES (what, fresh);
    END IF;
END $$
"""
# Of what goes with its owner nobody reads anything any more; this comes after cache_removed.
OWNERS_CHANGED = """
CREATE FUNCTION cache_owners_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM cache_changed(owner_id) FROM (SELECT DISTINCT owner_id FROM rows_before) AS owners
    WHERE EXISTS (SELECT FROM users WHERE users.id = owner_id);
    IF TG_OP = 'UPDATE' THEN
        PERFORM cache_changed(owner_id) FROM (
            SELECT owner_id FROM rows_after EXCEPT SELECT owner_id FROM rows_before
        ) AS owners;
    END IF;
    RETURN NULL;
END $$
"""
# There is no foreign key: with one, a change of an item and the removal of its owner could wait for
# each other.
SCOPES_REMOVED = """
CREATE FUNCTION cache_scopes_removed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM cache_stamps WHERE scope IN (SELECT id FROM rows_before);
    RETURN NULL;
END $$
"""
UPDATED = """
CREATE TRIGGER cache_updated AFTER UPDATE ON {table}
REFERENCING OLD TABLE AS rows_before NEW TABLE AS rows_after
FOR EACH STATEMENT EXECUTE FUNCTION cache_owners_changed()
"""
DELETED = """
CREATE TRIGGER cache_deleted AFTER DELETE ON {table}
REFERENCING OLD TABLE AS rows_before
FOR EACH STATEMENT EXECUTE FUNCTION cache_owners_changed()
"""
ACCOUNT_REMOVED = """
CREATE TRIGGER cache_removed AFTER DELETE ON users
REFERENCING OLD TABLE AS rows_before
FOR EACH STATEMENT EXECUTE FUNCTION cache_scopes_removed()
"""


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "cache_stamps",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("scope", sa.Uuid(), nullable=False),
        sa.Column("stamp", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_cache_stamps")),
        # Rows are updated in place while their page has room.
        postgresql_with={"fillfactor": "70"},
    )
    op.create_index("ix_cache_stamps_scope", "cache_stamps", ["scope"])
    for function in (CHANGED, OWNERS_CHANGED, SCOPES_REMOVED):
        op.execute(function)
    op.execute(ACCOUNT_REMOVED)
    for table in OWNED:
        op.execute(UPDATED.format(table=table))
        op.execute(DELETED.format(table=table))


def downgrade() -> None:
    """Take back."""
    for table in OWNED:
        op.execute(f"DROP TRIGGER cache_deleted ON {table}")
        op.execute(f"DROP TRIGGER cache_updated ON {table}")
    op.execute("DROP TRIGGER cache_removed ON users")
    op.execute("DROP FUNCTION cache_scopes_removed()")
    op.execute("DROP FUNCTION cache_owners_changed()")
    op.execute("DROP FUNCTION cache_changed(uuid)")
    op.drop_table("cache_stamps")
