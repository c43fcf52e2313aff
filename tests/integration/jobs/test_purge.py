"""The purge removes expired data in short transactions, and one failure does not stop the rest."""

import uuid
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Executable, func, insert, select, text
from sqlalchemy.exc import DBAPIError
from sqlmodel import col

from fastapi_base.core.config import Settings
from fastapi_base.db.session import EngineDatabase
from fastapi_base.models import IdempotencyKey, Invitation, User
from fastapi_base.services.privacy.purge import purge

pytestmark = pytest.mark.anyio

LONG_AGO = datetime.now(UTC) - timedelta(days=100)
ROWS, BATCH = 7, 3
FEW = text(
    """
    CREATE FUNCTION few() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF (SELECT count(*) FROM gone) > 3 THEN RAISE 'too many rows in one statement'; END IF;
        RETURN NULL;
    END $$
    """
)
REFUSED = text(
    """
    CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN RAISE 'these rows cannot be removed'; END $$
    """
)


async def run(database: EngineDatabase, *statements: str | Executable) -> None:
    async with database.transaction() as session:
        connection = await session.connection()
        for statement in statements:
            await connection.execute(text(statement) if isinstance(statement, str) else statement)


async def add_account(database: EngineDatabase, **values: object) -> uuid.UUID:
    owner = uuid.uuid4()
    account = {"id": owner, "email": f"{owner}@example.com", "password_hash": "", **values}
    await run(database, insert(User).values(account))
    return owner


async def test_expired_idempotency_keys_are_removed_in_batches(
    database: EngineDatabase, settings: Settings
) -> None:
    owner = await add_account(database)
    row = {"owner_id": owner, "fingerprint": b"", "created_at": LONG_AGO}
    keys = [{**row, "key": str(number)} for number in range(ROWS)]
    await run(database, insert(IdempotencyKey).values(keys))
    await run(
        database,
        FEW,
        "CREATE TRIGGER few AFTER DELETE ON idempotency_keys REFERENCING OLD TABLE AS gone"
        " FOR EACH STATEMENT EXECUTE FUNCTION few()",
    )
    assert (await purge(database, settings, BATCH))["idempotency_keys"] == ROWS


async def test_failing_step_does_not_stop_the_others(
    database: EngineDatabase, settings: Settings
) -> None:
    gone = {"is_active": False, "deactivated_at": LONG_AGO, "delete_after": LONG_AGO}
    await add_account(database, **gone)
    invitation = {"id": uuid.uuid4(), "email": "ada@example.com", "created_at": LONG_AGO}
    await run(
        database,
        insert(Invitation).values(**invitation, expires_at=LONG_AGO),
        REFUSED,
        "CREATE TRIGGER refuse BEFORE DELETE ON invitations EXECUTE FUNCTION refuse()",
    )
    with pytest.raises(DBAPIError, match="these rows cannot be removed"):
        await purge(database, settings)
    async with database.read() as connection:
        assert await connection.scalar(select(func.count(col(User.id)))) == 0
