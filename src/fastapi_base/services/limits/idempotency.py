"""Requests that take effect once, however often they are sent.

See draft-ietf-httpapi-idempotency-key-header. The key, the effect and the response are committed in
one transaction. After a crash before the commit nothing is stored, and the next attempt does the
work; after a crash following the commit, the next attempt gets the stored response.
"""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DBAPIError
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from fastapi_base.core.errors import IdempotencyKeyInUse, IdempotencyKeyReused
from fastapi_base.db.batches import BATCH, remove
from fastapi_base.db.failures import LOCK_NOT_AVAILABLE, sqlstate
from fastapi_base.db.session import Database
from fastapi_base.models.idempotency import IdempotencyKey as Key


@dataclass(frozen=True, slots=True)
class StoredReply:
    """The stored response of the first attempt."""

    status: int
    headers: Mapping[str, str]
    body: bytes


async def begin(
    session: AsyncSession, owner: uuid.UUID, key: str, fingerprint: bytes, keep: timedelta
) -> StoredReply | None:
    """The response stored under the key, or None if this attempt has to do the work.

    While another attempt is running this one waits, up to the database's lock timeout. Raises
    IdempotencyKeyInUse after that, and IdempotencyKeyReused if the key came with another request. A
    key older than `keep` counts as new.
    """
    old = func.statement_timestamp() - keep
    mine = (col(Key.owner_id) == owner, col(Key.key) == key)
    claim = insert(Key).values(owner_id=owner, key=key, fingerprint=fingerprint)
    try:
        await session.exec(delete(Key).where(*mine, col(Key.created_at) < old))
        claimed = await session.exec(claim.on_conflict_do_nothing())
    except DBAPIError as error:
        if sqlstate(error) == LOCK_NOT_AVAILABLE:
            raise IdempotencyKeyInUse from error
        raise
    if claimed.rowcount:
        return None
    statement = select(col(Key.fingerprint), col(Key.status), col(Key.headers), col(Key.body))
    connection = await session.connection()
    row = (await connection.execute(statement.where(*mine))).one()
    if row.fingerprint != fingerprint:
        raise IdempotencyKeyReused
    return StoredReply(row.status, row.headers, row.body)


async def finish(session: AsyncSession, owner: uuid.UUID, key: str, reply: StoredReply) -> None:
    """Store the response, in the transaction that began with the key."""
    await session.exec(
        update(Key)
        .where(col(Key.owner_id) == owner, col(Key.key) == key)
        .values(status=reply.status, headers=dict(reply.headers), body=reply.body)
    )


async def purge(database: Database, keep: timedelta, batch: int = BATCH) -> int:
    """Remove keys older than `keep`. Returns their number."""
    old = func.statement_timestamp() - keep
    return await remove(database, Key, col(Key.created_at) < old, batch)
